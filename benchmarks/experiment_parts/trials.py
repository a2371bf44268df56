"""The tests of the loop, side by side: parts of one namespace, so that no shopper is in two.

ship    champion (popularity) against challenger (everything): the challenger is to be promoted
hold    the same with the parts swapped: the weaker one is the treatment and is to be held
guard   the weaker one behind a placement that leaves most lists empty: it is to be rolled back
draft   champion and challenger drafted into one list
"""

from __future__ import annotations

from typing import Any, Final

SHIP, HOLD, GUARD, DRAFT = "ship", "hold", "guard", "draft"
PARTS: Final = {SHIP: (0.0, 0.4), HOLD: (0.4, 0.7), GUARD: (0.7, 0.8), DRAFT: (0.8, 1.0)}
CONTROL, TREATMENT = "control", "treatment"
# Only what was bought before and is due, and nothing to fill up with: empty for nearly everybody.
MISTAKE: Final = {"sources": ["buy_again"], "ladder": []}


def trials(good: str, weak: str) -> dict[str, dict[str, Any]]:
    """The specifications by key, for the bundle versions of the two models."""
    arms = {
        SHIP: ({"bundle": "champion"}, {"bundle": "challenger"}),
        HOLD: ({"bundle": good}, {"bundle": weak}),
        GUARD: ({"bundle": good}, {"bundle": weak, "placement": MISTAKE}),
        DRAFT: ({"bundle": "champion"}, {"bundle": "challenger"}),
    }
    return {key: _trial(key, *pair) for key, pair in arms.items()}


def _trial(key: str, control: dict[str, Any], treatment: dict[str, Any]) -> dict[str, Any]:
    start, end = PARTS[key]
    return {
        "status": "running",
        "kind": "interleave" if key == DRAFT else "ab",
        "namespace": {"name": "loop", "start": start, "end": end},
        "arms": [
            {"key": CONTROL, "weight": 0.5} | control,
            {"key": TREATMENT, "weight": 0.5} | treatment,
        ],
    }
