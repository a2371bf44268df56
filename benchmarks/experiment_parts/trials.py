"""The tests of the loop, side by side: parts of one namespace, so that no shopper is in two.

ship    champion (popularity) against challenger (everything): the challenger is to be promoted
hold    the same with the parts swapped: the weaker one is the treatment and is to be held
guard   the weaker one behind a placement that leaves most lists empty: it is to be rolled back
draft   champion and challenger drafted into one list
open    the champion leaves its list to chance: what the log can tell of both models

In the first three and the draft nothing is kept from a list: all of it may differ from anybody's.
"""

from __future__ import annotations

from typing import Any, Final

from training.simulation.stock import SLATE

SHIP, HOLD, GUARD, DRAFT, OPEN = "ship", "hold", "guard", "draft", "open"
PARTS: Final = {
    SHIP: (0.0, 0.28),
    HOLD: (0.28, 0.5),
    GUARD: (0.5, 0.56),
    DRAFT: (0.56, 0.7),
    OPEN: (0.7, 1.0),
}
CONTROL, TREATMENT = "control", "treatment"
# As long as the places of a page; all of it may differ from anybody's.
WHOLE: Final = {"max_changed_share": 1.0, "limit": SLATE}
# Only what was bought before and is due, and nothing to fill up with: empty for nearly everybody.
MISTAKE: Final = {"sources": ["buy_again"], "ladder": []}
# One place, and of each source what it holds best. Near-ties reach all of these, and at such a
# temperature each is as likely as any other: what either model puts first is shown often.
LEFT_TO_CHANCE: Final = WHOLE | {
    "limit": 1,
    "candidates": 1,
    "ladder": [],
    "kinds": ["item"],
    "explore": {"epsilon": 0.0, "temperature": 1e6, "gap": 1e6, "reach": 20},
}


def trials(good: str, weak: str) -> dict[str, dict[str, Any]]:
    """The specifications by key, for the bundle versions of the two models."""
    whole: dict[str, Any] = {"placement": WHOLE}
    both = whole | {"bundle": "champion"}, whole | {"bundle": "challenger"}
    left: dict[str, Any] = {"placement": LEFT_TO_CHANCE}
    arms = {
        SHIP: both,
        HOLD: (whole | {"bundle": good}, whole | {"bundle": weak}),
        GUARD: ({"bundle": good}, {"bundle": weak, "placement": MISTAKE}),
        DRAFT: both,
        OPEN: (left, left),
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
