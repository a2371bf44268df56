"""Which arm of an experiment a subject gets: a pure function of specification, seed and subject.

The order of the steps is that of the GrowthBook SDKs, so that any of them gives the same arm:
forced → running → known subject → remembered arm, or else holdout, filters or namespace,
eligibility, prerequisites → hash → range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from recommender.bucketing import NO_RANGE, bucket_of, chosen_range, in_namespace
from recommender.experiment import Experiment, Sticky
from recommender.targeting import meets

# Reasons of an assignment, the first four with an arm.
ASSIGNED: Final = "assigned"
FORCED: Final = "forced"
EXTERNAL: Final = "external"
REMEMBERED: Final = "sticky"
NOT_RUNNING: Final = "not_running"
SINGLE_ARM: Final = "single_arm"
NO_SUBJECT: Final = "no_subject"
NOT_ELIGIBLE: Final = "not_eligible"
NOT_PREPARED: Final = "prerequisite"
IN_HOLDOUT: Final = "holdout"
FILTERED: Final = "filtered"
OTHER_NAMESPACE: Final = "namespace"
NOT_COVERED: Final = "coverage"
BLOCKED: Final = "sticky_blocked"
IN_TEST_MODE: Final = "qa"
NOT_GIVEN: Final = "not_given"
REASONS: Final = (
    ASSIGNED,
    FORCED,
    EXTERNAL,
    REMEMBERED,
    NOT_RUNNING,
    SINGLE_ARM,
    NO_SUBJECT,
    NOT_ELIGIBLE,
    NOT_PREPARED,
    IN_HOLDOUT,
    FILTERED,
    OTHER_NAMESPACE,
    NOT_COVERED,
    BLOCKED,
    IN_TEST_MODE,
    NOT_GIVEN,
)
Unit = tuple[str, str]
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is assigned.

    Parameters
    ----------
    ids
        Unit → id.
    is_eligible
        Whether the subject may take part in this experiment at all, by a rule that no arm changes.
    forced
        Experiment → arm, for those who try an arm out.
    is_in_test_mode
        Takes part in what is forced only.
    remembered
        (unit, id) → what was given before: ``experiment__version`` → arm.
    parents
        Experiment → `told` of the subject's assignment there, for prerequisites; one that is not
        named counts as one of which nothing is known.
    """

    ids: Mapping[str, str]
    is_eligible: bool = True
    forced: Mapping[str, str] = field(default_factory=lambda: _NONE)
    is_in_test_mode: bool = False
    remembered: Mapping[Unit, Mapping[str, str]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    parents: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm of a subject.

    Parameters
    ----------
    variant
        The control where the subject does not take part.
    in_experiment
        Whether it takes part.
    unit
        Which id it was, and the id; None where it was not needed.
    bucket
        Where it fell; None where nothing was hashed.
    is_hash_used
        Whether the hash, or what was remembered of one, decided.
    probability
        Of that arm for a subject that takes part; None where no hash decided just now.
    """

    experiment: Experiment
    variant: str
    in_experiment: bool
    reason: str
    unit: Unit | None = None
    bucket: float | None = None
    is_hash_used: bool = False
    probability: float | None = None

    @property
    def is_sticky(self) -> bool:
        """Whether the arm was remembered."""
        return self.reason == REMEMBERED

    @property
    def to_remember(self) -> tuple[Unit, str, str] | None:
        """Whose, under which key, which arm is to be kept; None where nothing is."""
        if self.experiment.sticky is None or not self.is_hash_used or self.unit is None:
            return None
        return self.unit, sticky_key(self.experiment, self.experiment.sticky), self.variant


def sticky_key(experiment: Experiment, sticky: Sticky) -> str:
    """Under which key an arm is remembered."""
    return f"{experiment.key}__{sticky.version}"


def outside(experiment: Experiment, reason: str, unit: Unit | None = None) -> Assignment:
    """Somebody who does not take part."""
    return Assignment(experiment, experiment.arms[0], in_experiment=False, reason=reason, unit=unit)


def given(experiment: Experiment, variant: str, reason: str) -> Assignment:
    """An arm that no hash of ours decided. Raises `ValueError` for an arm that does not exist."""
    experiment.arms.index(variant)
    return Assignment(experiment, variant, in_experiment=True, reason=reason)


def told(assignment: Assignment) -> dict[str, Any]:
    """What the prerequisite of another experiment may ask of an assignment."""
    return {"value": assignment.variant, "in_experiment": assignment.in_experiment}


def assign(experiment: Experiment, subject: Subject) -> Assignment:
    """The arm of a subject; the same for the same input, wherever and whenever."""
    if len(experiment.arms) < 2:
        return outside(experiment, SINGLE_ARM)
    if (forced := subject.forced.get(experiment.key)) in experiment.arms:
        return given(experiment, str(forced), FORCED)
    if not experiment.is_running:
        return outside(experiment, NOT_RUNNING)
    if (unit := unit_of(experiment, subject)) is None:
        return outside(experiment, NO_SUBJECT)
    return _assigned(experiment, subject, unit)


def unit_of(experiment: Experiment, subject: Subject) -> Unit | None:
    """Which id of the subject is hashed, and the id; an empty one is none."""
    for unit in (experiment.unit, experiment.fallback_unit):
        if unit is not None and (value := subject.ids.get(unit)):
            return unit, value
    return None


def _assigned(experiment: Experiment, subject: Subject, unit: Unit) -> Assignment:
    remembered, is_blocked = _remembered(experiment, subject)
    if remembered is None and (reason := _kept_out(experiment, subject, unit)):
        return outside(experiment, reason, unit)
    bucket = bucket_of(experiment.seed, unit[1], experiment.hash_version)
    if is_blocked:
        return outside(experiment, BLOCKED, unit)
    arm = remembered or _arm_at(experiment, bucket)
    if arm is None:
        return outside(experiment, NOT_COVERED, unit)
    if experiment.forced_arm is not None:
        return _all_the_same(experiment, unit)
    if subject.is_in_test_mode:
        return outside(experiment, IN_TEST_MODE, unit)
    if remembered is not None:
        return _hashed(experiment, arm, REMEMBERED, unit, bucket)
    by_hash = _hashed(experiment, arm, ASSIGNED, unit, bucket)
    return replace(by_hash, probability=experiment.probabilities[arm])


def _hashed(
    experiment: Experiment, arm: str, reason: str, unit: Unit, bucket: float | None
) -> Assignment:
    entered = Assignment(experiment, arm, in_experiment=True, reason=reason, unit=unit)
    return replace(entered, bucket=bucket, is_hash_used=True)


def _arm_at(experiment: Experiment, bucket: float | None) -> str | None:
    if bucket is None:
        return None
    index = chosen_range(bucket, experiment.arm_ranges)
    return None if index == NO_RANGE else experiment.arms[index]


def _all_the_same(experiment: Experiment, unit: Unit) -> Assignment:
    if experiment.forced_arm not in experiment.arms:
        return outside(experiment, NOT_COVERED, unit)
    return given(experiment, str(experiment.forced_arm), FORCED)


def _kept_out(experiment: Experiment, subject: Subject, unit: Unit) -> str | None:
    """Why a subject may not take part; None where it may."""
    value, holdout, namespace = unit[1], experiment.holdout, experiment.namespace
    if holdout and (bucket_of(holdout.seed, value) or 0.0) < holdout.share:
        return IN_HOLDOUT
    if experiment.filters:
        if not _passes(experiment, subject, unit):
            return FILTERED
    elif namespace and not in_namespace(value, namespace.name, namespace.start, namespace.end):
        return OTHER_NAMESPACE
    if not subject.is_eligible:
        return NOT_ELIGIBLE
    return None if is_prepared(experiment, subject) else NOT_PREPARED


def is_prepared(experiment: Experiment, subject: Subject) -> bool:
    """Whether the subject got what the prerequisites of an experiment want."""
    return all(
        meets(subject.parents.get(each.experiment, _NOTHING), each.condition)
        for each in experiment.prerequisites
    )


def _passes(experiment: Experiment, subject: Subject, unit: Unit) -> bool:
    for each in experiment.filters:
        value = subject.ids.get(each.unit) if each.unit else unit[1]
        bucket = bucket_of(each.seed, value, each.hash_version) if value else None
        if bucket is None or chosen_range(bucket, each.ranges) == NO_RANGE:
            return False
    return True


def _remembered(experiment: Experiment, subject: Subject) -> tuple[str | None, bool]:
    """The arm given before, if it counts, and whether what was given before keeps the subject out.

    The id of the unit itself says more than that of the fallback.
    """
    sticky = experiment.sticky
    if sticky is None:
        return None, False
    notes: dict[str, str] = {}
    for unit in (experiment.fallback_unit, experiment.unit):
        if unit is not None and (value := subject.ids.get(unit)):
            notes |= subject.remembered.get((unit, value), _NONE)
    older = (f"{experiment.key}__{version}" for version in range(sticky.min_version))
    if any(key in notes for key in older):
        return None, True
    arm = notes.get(sticky_key(experiment, sticky))
    return (arm if arm in experiment.arms else None), False
