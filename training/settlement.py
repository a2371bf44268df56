"""A verdict put into effect: written on the version and its run, and the alias moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from training.gate import GateReport
from training.promotion import GATE_TAG, last_champion, settle
from training.registry import CHAMPION, RegisteredModel, Registry
from training.verdict import HOLD, ROLL_BACK, SHIP, Verdict

DECISION_TAG: Final = "decision"
REASONS_TAG: Final = "decision.reasons"
_LONGEST_TAG: Final = 5_000
_STAYS: Final = "it stays the champion"


@dataclass(frozen=True, slots=True)
class Settlement:
    """What followed from a verdict.

    Parameters
    ----------
    champion
        Number of the version that is the champion now; None where there is none.
    note
        What was done, in words.
    """

    champion: str | None
    note: str


def settle_verdict(
    registry: Registry, registered: RegisteredModel, gate: GateReport, verdict: Verdict
) -> Settlement:
    """Move the champion alias as the verdict says, then write the verdict down.

    A version that is held or rolled back never counts as an earlier champion again, whatever the
    gate alone said of it.

    Raises
    ------
    RegistryError
        The registry does not answer. A version without a verdict was not settled.
    """
    if verdict.decision == SHIP:
        settle(registry, registered, gate)
        note = f"version {registered.version} is the champion"
    else:
        note = _taken_back(registry, registered, verdict)
        registry.set_tags(registered.version, gate.tags | _mark(gate, verdict, note))
    tags = {DECISION_TAG: verdict.decision, REASONS_TAG: "; ".join(verdict.reasons)[:_LONGEST_TAG]}
    registry.set_tags(registered.version, tags)
    document = verdict.summary | {"gate": gate.summary, "effect": note}

    def write(client: Any) -> None:
        client.log_dict(registered.run_id, document, "gate/decision.json")

    registry.call("log the decision", write)
    champion = registry.resolve(CHAMPION)
    return Settlement(champion.version if champion else None, note)


def _mark(gate: GateReport, verdict: Verdict, note: str) -> dict[str, str]:
    """What stands in the place of a passed gate, but for a champion that stays one."""
    if not gate.passed or note == _STAYS:
        return {}
    return {GATE_TAG: "held" if verdict.decision == HOLD else "rolled back"}


def _taken_back(registry: Registry, registered: RegisteredModel, verdict: Verdict) -> str:
    """Point the alias at the champion before, where the version is the champion."""
    champion = registry.resolve(CHAMPION)
    if champion is None or champion.version != registered.version:
        return f"version {registered.version} is not made the champion"
    if verdict.decision != ROLL_BACK:
        return _STAYS
    before = last_champion(registry, registered.bundle_version)
    if before is None:
        return "it stays the champion, for there is none before it"
    registry.set_alias(CHAMPION, before.version)
    return f"version {before.version} is the champion again"
