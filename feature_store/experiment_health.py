"""How a running experiment is doing, from the log alone: arms, sample ratio, losses.

A quick look without tables, metrics or outcomes; `desirepath experiment read` is the reading.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

import msgspec

from feature_store.erasures import Erasures
from feature_store.event_log import LogReader
from feature_store.experiment_rows import assigned, reason_left_out
from feature_store.layout import StoreLayout
from feature_store.records import AssignmentRecord, DecisionRecord, EventRecord
from recommender.errors import DataError
from recommender.sample_ratio import THRESHOLD, sample_ratio
from recommender.terms import LADDER, SIMILAR

# Rungs that answer about the shopper, the visit or the item of the page; the others do not.
FITTING: Final = LADDER[: LADDER.index(SIMILAR) + 1]


class ArmHealth(msgspec.Struct, frozen=True):
    """One arm.

    Parameters
    ----------
    weight
        Its probability, as the records say it; None where somebody else assigned.
    fallback_share, error_share
        Of its answers: of a rung that fits nobody in particular; that something failed in.
    latency_p95_ms
        95 % of its answers took no longer.
    """

    variant: str
    subjects: int
    answers: int
    weight: float | None
    fallback_share: float
    error_share: float
    latency_p95_ms: float


class ExperimentHealth(msgspec.Struct, frozen=True):
    """One phase of an experiment.

    Parameters
    ----------
    sample_ratio_p
        Of arms as large as promised; equal arms where the records do not say their weight.
    duplicate_share
        Records that repeat an answer, of the records of the phase.
    late_share
        Events that came more than five minutes after they happened, of all events.
    unmatched_share
        Events that name an answer which the log does not have, of those that name one.
    left_out
        Answers that no arm counts, by reason.
    """

    experiment: str
    phase: int
    arms: tuple[ArmHealth, ...]
    sample_ratio_p: float
    is_mismatch: bool
    duplicate_share: float
    late_share: float
    unmatched_share: float
    left_out: dict[str, int]


@dataclass(slots=True)
class _Arm:
    subjects: set[str] = field(default_factory=set)
    latencies: list[float] = field(default_factory=list)
    fallbacks: int = 0
    errors: int = 0
    weight: float | None = None

    def add(self, record: DecisionRecord, assignment: AssignmentRecord) -> None:
        self.subjects.add(record.subject_key)
        self.latencies.append(record.latency_ms)
        self.fallbacks += record.served_level not in FITTING
        self.errors += record.degraded_reason is not None
        self.weight = assignment.p_arm

    def health(self, variant: str) -> ArmHealth:
        answers = len(self.latencies)
        nearest = sorted(self.latencies)[math.ceil(0.95 * answers) - 1]
        return ArmHealth(
            variant,
            len(self.subjects),
            answers,
            self.weight,
            self.fallbacks / answers,
            self.errors / answers,
            nearest,
        )


@dataclass(slots=True)
class _Tally:
    """What one pass over the log counts."""

    key: str
    erased: dict[str, int]
    arms: dict[int, dict[str, _Arm]] = field(default_factory=dict)
    left_out: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    known: set[str] = field(default_factory=set)
    named: Counter[str] = field(default_factory=Counter)
    repeated: Counter[int] = field(default_factory=Counter)
    events: int = 0
    late: int = 0

    def add_event(self, record: EventRecord) -> None:
        self.events += 1
        self.late += record.late
        event = record.event
        named = {event.recommendation_id, *(item.recommendation_id for item in event.items)}
        self.named.update(each for each in named if each is not None)

    def add_decision(self, record: DecisionRecord) -> None:
        is_repeated = record.decision_id in self.known
        self.known.add(record.decision_id)
        for assignment in assigned(record, self.key):
            phase = assignment.phase
            arms = self.arms.setdefault(phase, {})
            if is_repeated:
                self.repeated[phase] += 1
            elif reason := reason_left_out(record, assignment, self.erased):
                self.left_out[phase][reason] += 1
            else:
                arms.setdefault(assignment.variant, _Arm()).add(record, assignment)

    @property
    def unmatched(self) -> int:
        return sum(count for each, count in self.named.items() if each not in self.known)


def experiment_health(layout: StoreLayout, key: str, phase: int | None = None) -> ExperimentHealth:
    """Look at a phase of an experiment, the last one unless it is named.

    Raises
    ------
    DataError
        The log has no answer of the experiment, or of the phase.
    """
    tally = _Tally(key, dict(Erasures(layout.erasures).subjects))
    if layout.log.is_dir():
        for entry in LogReader(layout.log):
            if isinstance(entry.record, EventRecord):
                tally.add_event(entry.record)
            elif isinstance(entry.record, DecisionRecord):
                tally.add_decision(entry.record)
    phases = sorted(tally.arms)
    if not phases or (phase is not None and phase not in phases):
        raise DataError(f"the log has no answer of experiment {key!r}, phase {phase}: {phases}")
    return _health(tally, phases[-1] if phase is None else phase)


def _health(tally: _Tally, phase: int) -> ExperimentHealth:
    arms = tuple(arm.health(name) for name, arm in sorted(tally.arms[phase].items()))
    seen = {arm.variant: arm.subjects for arm in arms}
    ratio = sample_ratio(seen, arm_weights({arm.variant: arm.weight for arm in arms}))
    records = sum(arm.answers for arm in arms) + tally.repeated[phase]
    return ExperimentHealth(
        tally.key,
        phase,
        arms,
        ratio.p_value,
        ratio.is_mismatch(THRESHOLD),
        _share(tally.repeated[phase], records),
        _share(tally.late, tally.events),
        _share(tally.unmatched, sum(tally.named.values())),
        dict(tally.left_out[phase]),
    )


NOBODY_SEEN: Final = "(nobody seen)"


def arm_weights(shares: dict[str, float | None]) -> dict[str, float]:
    """Weights of arms from the probabilities that records carry; equal where one carries none.

    What the arms seen leave of 1 belongs to arms that nobody was seen in.
    """
    known = {arm: share for arm, share in shares.items() if share is not None}
    if len(known) < len(shares):
        return dict.fromkeys(shares, 1.0)
    missing = 1.0 - math.fsum(known.values())
    return known | ({NOBODY_SEEN: missing} if missing > 1e-6 else {})


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
