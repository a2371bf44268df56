"""Ship, hold or roll back: one verdict from everything that is known of a version.

A pure function of the evidence and the thresholds. Every source is looked at, also after one has
spoken against; the gravest finding is the verdict. What is missing speaks neither way unless the
thresholds ask for it.

    roll back   a guardrail of the running test is broken, or the champion itself loses its test
    hold        the gate, the journeys, the off-policy estimate, the test or the preference speaks
                against, or what must be there is not, or cannot be believed
    ship        nothing speaks against
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from recommender.errors import InvalidInputError
from training.evaluation.bootstrap import Interval
from training.evaluation.experiment.drafts import InterleavingReading
from training.evaluation.experiment.report import (
    BETTER,
    OK,
    WORSE,
    Comparison,
    ExperimentReading,
)
from training.experiment_spec import VerdictSpec
from training.gate import GateReport

SHIP: Final = "ship"
HOLD: Final = "hold"
ROLL_BACK: Final = "roll back"
_GRAVITY: Final = (SHIP, HOLD, ROLL_BACK)


class OffPolicyEstimate(msgspec.Struct, frozen=True):
    """What a version would have earned on the logged traffic.

    Parameters
    ----------
    value, low, high
        Estimate with its interval, in the unit of `logged`.
    logged
        What the logging policy did earn.
    refusal
        Why the estimate cannot be believed; None where it can.
    """

    value: float
    low: float
    high: float
    logged: float
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class PreferenceEvidence:
    """Interleaved lists, and the bundles that drafted for the treatment."""

    reading: InterleavingReading
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a verdict is made from.

    Parameters
    ----------
    gate
        Offline evaluation, model sanity, size and latency, condition by condition.
    steps_gained
        Steps saved per journey, the version minus the last champion; None: not replayed.
    reading, treatment
        The test, and the arm that the version answered in; None without a test.
    preference
        What interleaved lists say of it; None without such a test.
    bundle_version
        Of the version: the treatment must have been answered by it.
    is_champion
        The version serves already.
    """

    gate: GateReport
    bundle_version: str
    is_champion: bool = False
    steps_gained: Interval | None = None
    off_policy: OffPolicyEstimate | None = None
    reading: ExperimentReading | None = None
    treatment: str | None = None
    preference: PreferenceEvidence | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What one source says.

    Parameters
    ----------
    says
        ``ship`` (it has nothing against it), ``hold`` or ``roll back``.
    """

    source: str
    says: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict with all findings."""

    findings: tuple[Finding, ...]

    @property
    def decision(self) -> str:
        """The gravest of what was said."""
        return max((each.says for each in self.findings), key=_GRAVITY.index, default=SHIP)

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against, one sentence each."""
        return tuple(f"{each.source}: {each.reason}" for each in self.findings if each.says != SHIP)

    @property
    def rows(self) -> list[dict[str, object]]:
        """One row per finding."""
        return [
            {"source": each.source, "says": each.says, "reason": each.reason}
            for each in self.findings
        ]

    @property
    def summary(self) -> dict[str, object]:
        """The verdict as plain JSON types."""
        return {
            "decision": self.decision,
            "decision_reasons": list(self.reasons),
            "findings": self.rows,
        }


def decide(evidence: Evidence, limits: VerdictSpec) -> Verdict:
    """Judge a version by all that is known of it."""
    return Verdict(
        (
            *_of_gate(evidence.gate),
            *_of_journeys(evidence.steps_gained, limits),
            *_of_off_policy(evidence.off_policy, limits),
            *_of_experiment(evidence, limits),
            *_of_preference(evidence, limits),
        )
    )


def _of_gate(gate: GateReport) -> Iterator[Finding]:
    if gate.passed:
        yield Finding("gate", SHIP, f"all {len(gate.conditions)} conditions hold")
    for reason in gate.reasons:
        yield Finding("gate", HOLD, reason)


def _of_journeys(gained: Interval | None, limits: VerdictSpec) -> Iterator[Finding]:
    if gained is None:
        yield _missing("journeys", "they were not replayed", is_needed=limits.needs_journeys)
        return
    text = f"{gained.mean:+.3g} steps saved per journey [{gained.low:+.3g}, {gained.high:+.3g}]"
    says = HOLD if gained.high < -limits.max_steps_lost else SHIP
    yield Finding(
        "journeys", says, f"{text}; accepted: not surely below -{limits.max_steps_lost:g}"
    )


def _of_off_policy(estimate: OffPolicyEstimate | None, limits: VerdictSpec) -> Iterator[Finding]:
    is_needed = limits.needs_off_policy
    if estimate is None:
        yield _missing("off-policy estimate", "there is none", is_needed=is_needed)
        return
    if estimate.refusal is not None:
        yield _missing("off-policy estimate", f"refused: {estimate.refusal}", is_needed=is_needed)
        return
    floor = estimate.logged - limits.max_off_policy_loss * abs(estimate.logged)
    text = f"{estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"
    says = HOLD if estimate.high < floor else SHIP
    reason = f"{text}, the log earned {estimate.logged:.4g}; accepted: not surely below {floor:.4g}"
    yield Finding("off-policy estimate", says, reason)


def _of_experiment(evidence: Evidence, limits: VerdictSpec) -> Iterator[Finding]:
    reading = evidence.reading
    if reading is None:
        yield _missing("experiment", "none was named", is_needed=limits.needs_experiment)
        return
    if reading.refusal is not None:
        yield Finding("experiment", HOLD, reading.refusal)
        return
    found = _comparison(reading, evidence.treatment)
    yield from _of_models(reading, found.variant, evidence.bundle_version)
    yield from (Finding("experiment", HOLD, doubt) for doubt in reading.doubts)
    yield from _of_guardrails(found, limits)
    yield _of_primary(reading, found, evidence, limits)


def _comparison(reading: ExperimentReading, treatment: str | None) -> Comparison:
    arms = [each.variant for each in reading.comparisons]
    if treatment is None and len(arms) == 1:
        return reading.comparisons[0]
    found = None if treatment is None else reading.comparison(treatment)
    if found is None:
        raise InvalidInputError(
            f"treatment {treatment!r} of experiment {reading.experiment!r}; accepted: {arms}"
        )
    return found


def _of_models(reading: ExperimentReading, variant: str, bundle: str) -> Iterator[Finding]:
    models = next(arm.models for arm in reading.arms if arm.variant == variant)
    if models != (bundle,):
        answered = ", ".join(models) or "nothing"
        yield Finding("experiment", HOLD, f"{variant} was answered by {answered}, not by {bundle}")


def _of_guardrails(found: Comparison, limits: VerdictSpec) -> Iterator[Finding]:
    for each in found.guardrails:
        text = f"{each.name} {each.control:.4g} → {each.treatment:.4g}"
        if each.name in found.broken:
            reason = f"{text} is broken; tolerated: {each.tolerance:g}"
            yield Finding("guardrail", ROLL_BACK, reason)
        elif limits.guardrails_must_be_ok and each.verdict != OK:
            yield Finding("guardrail", HOLD, f"{text} is not surely within {each.tolerance:g}")


def _of_primary(
    reading: ExperimentReading, found: Comparison, evidence: Evidence, limits: VerdictSpec
) -> Finding:
    metric = found.metric(reading.primary)
    if metric is None or metric.always is None:
        return Finding("experiment", HOLD, f"too few subjects to read {reading.primary}")
    interval = metric.always
    text = f"{found.variant} is {metric.verdict} in {metric.name}: {interval.mean:+.4g}"
    reason = f"{text} [{interval.low:+.4g}, {interval.high:+.4g}] at every look"
    if metric.verdict == WORSE:
        return Finding("experiment", ROLL_BACK if evidence.is_champion else HOLD, reason)
    is_enough = metric.verdict == BETTER or not limits.must_win_experiment
    return Finding("experiment", SHIP if is_enough else HOLD, reason)


def _of_preference(evidence: Evidence, limits: VerdictSpec) -> Iterator[Finding]:
    source, given = "preference", evidence.preference
    if given is None:
        yield _missing(source, "no interleaved test was named", is_needed=limits.needs_preference)
        return
    found, bundle = given.reading, evidence.bundle_version
    if given.models != (bundle,):
        drafted = ", ".join(given.models) or "nothing"
        yield Finding(source, HOLD, f"{found.treatment} drafted {drafted}, not {bundle}")
    interval = found.always
    if interval is None:
        voters = found.wins + found.losses + found.ties
        yield Finding(source, HOLD, f"too few subjects with a credit: {voters}")
        return
    text = f"{found.treatment} is {found.verdict}: {interval.mean:+.4g}"
    reason = f"{text} [{interval.low:+.4g}, {interval.high:+.4g}] at every look"
    if found.verdict == WORSE:
        yield Finding(source, ROLL_BACK if evidence.is_champion else HOLD, reason)
        return
    is_enough = found.verdict == BETTER or not limits.must_win_experiment
    yield Finding(source, SHIP if is_enough else HOLD, reason)


def _missing(source: str, why: str, *, is_needed: bool) -> Finding:
    return (
        Finding(source, HOLD, f"{why}, and it is needed")
        if is_needed
        else Finding(source, SHIP, why)
    )
