"""An experiment as far as it decides who gets which arm."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from recommender.bucketing import BUCKETS, UNBIASED, Range, check_ranges, ranges_of
from recommender.errors import InvalidInputError

DRAFT, RUNNING, PAUSED, STOPPED = "draft", "running", "paused", "stopped"
STATUSES: Final = (DRAFT, RUNNING, PAUSED, STOPPED)
VISITOR, USER, SESSION = "visitor", "user", "session"
UNITS: Final = (VISITOR, USER, SESSION)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A part of a namespace; experiments in parts that do not overlap share no subject."""

    name: str
    start: float
    end: float

    def __post_init__(self) -> None:
        check_ranges([(self.start, self.end)])

    def overlaps(self, other: Namespace) -> bool:
        """Whether a subject may be in both."""
        return self.name != other.name or (self.start < other.end and other.start < self.end)


@dataclass(frozen=True, slots=True)
class BucketFilter:
    """Only subjects that fall into some ranges under a seed of its own take part.

    Parameters
    ----------
    unit
        Which id is hashed; None: that of the experiment.
    """

    seed: str
    ranges: tuple[Range, ...]
    unit: str | None = None
    hash_version: int = UNBIASED

    def __post_init__(self) -> None:
        check_ranges(self.ranges)


@dataclass(frozen=True, slots=True)
class Holdout:
    """A share of subjects that no experiment with this seed may touch."""

    seed: str
    share: float

    def __post_init__(self) -> None:
        check_ranges([(0.0, self.share)])


@dataclass(frozen=True, slots=True)
class Sticky:
    """Subjects keep the arm that they were first given, as long as somebody remembers it.

    Parameters
    ----------
    version
        What is remembered under another version does not count: a new one deals anew.
    min_version
        Who is remembered under a version below this takes part no more.
    """

    version: int = 0
    min_version: int = 0


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """Only who got a certain arm of another experiment takes part.

    Parameters
    ----------
    experiment
        Key of the other one, the parent.
    condition
        What the parent's ``value`` (the arm; the control of who does not take part) and
        ``in_experiment`` must meet, see `recommender.targeting`.
    """

    experiment: str
    condition: Mapping[str, Any]


# No slots: what follows from the fields is worked out once.
@dataclass(frozen=True)
class Experiment:
    """Who takes part and who gets which arm.

    Parameters
    ----------
    arms
        Keys; the first is the control.
    seed
        Of the hash; frozen while it runs.
    unit, fallback_unit
        Which id is hashed, and which one where that is not known.
    phase
        Counts changes of the weights, from 0.
    weights
        Of the arms; empty: equal ones.
    coverage
        Share of subjects that take part.
    ranges
        Of the arms, in place of coverage and weights; empty: made from those.
    namespace
        Ignored where there are `filters`.
    forced_arm
        Given to all who take part.
    prerequisites
        All of them must hold; none of their experiments may wait for this one in turn, see
        `feature_store.experiment_parents`.
    """

    key: str
    arms: tuple[str, ...]
    seed: str
    unit: str = VISITOR
    fallback_unit: str | None = None
    hash_version: int = UNBIASED
    status: str = RUNNING
    phase: int = 0
    weights: tuple[float, ...] = ()
    coverage: float = 1.0
    ranges: tuple[Range, ...] = ()
    namespace: Namespace | None = None
    filters: tuple[BucketFilter, ...] = ()
    holdout: Holdout | None = None
    sticky: Sticky | None = None
    forced_arm: str | None = None
    prerequisites: tuple[Prerequisite, ...] = ()

    def __post_init__(self) -> None:
        where = f"experiment {self.key}"
        if len(set(self.arms)) != len(self.arms) or not self.arms:
            raise InvalidInputError(f"{where}: arms {self.arms}; accepted: one or more, each once")
        if self.status not in STATUSES:
            raise InvalidInputError(f"{where}: status={self.status!r}; accepted: {STATUSES}")
        if self.hash_version not in BUCKETS:
            accepted = sorted(BUCKETS)
            raise InvalidInputError(
                f"{where}: hash_version={self.hash_version}; accepted: {accepted}"
            )
        for name, given in (("ranges", self.ranges), ("weights", self.weights)):
            if given and len(given) != len(self.arms):
                raise InvalidInputError(
                    f"{where}: {len(given)} {name} for {len(self.arms)} arms; accepted: as many"
                )
        check_ranges(self.ranges)

    @property
    def is_running(self) -> bool:
        """Whether anybody is given an arm."""
        return self.status == RUNNING

    @cached_property
    def arm_ranges(self) -> tuple[Range, ...]:
        """Where each arm lies in [0, 1)."""
        return self.ranges or tuple(ranges_of(len(self.arms), self.coverage, self.weights))

    @cached_property
    def probabilities(self) -> Mapping[str, float]:
        """Of each arm, for a subject that takes part; all 0 where nobody does."""
        lengths = [end - start for start, end in self.arm_ranges]
        total = sum(lengths)
        return {
            arm: length / total if total else 0.0
            for arm, length in zip(self.arms, lengths, strict=True)
        }

    @cached_property
    def seed_digest(self) -> str:
        """First 16 hex digits of the sha256 of the seed."""
        return hashlib.sha256(self.seed.encode("utf-8", "surrogatepass")).hexdigest()[:16]
