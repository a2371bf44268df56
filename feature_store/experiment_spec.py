"""What an experiment is, as it is written down: who takes part, which arms, what each changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from recommender.bucketing import UNBIASED
from recommender.errors import InvalidInputError
from recommender.experiment import (
    BucketFilter,
    Experiment,
    Holdout,
    Namespace,
    Prerequisite,
    Sticky,
)
from recommender.targeting import LOGICAL, OPERATORS, PATTERNS, check_condition, meets

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
# Files that are being written are named tmp-..., see `feature_store.atomic_file`.
EXPERIMENT_KEY = re.compile(rf"(?!tmp-){KEY.pattern}")
CHAMPION = "champion"
CHALLENGER = "challenger"
BUNDLE = re.compile(rf"{CHAMPION}|{CHALLENGER}|[0-9a-f]{{16}}")
MAX_ARMS = 16
WEIGHT_TOLERANCE = 1e-9
INTERLEAVE = "interleave"
DRAFTED = "interleaved"  # the variant of all who take part in an interleaving
# No patterns: a bad one could hold up every answer.
AUDIENCE_OPERATORS = {*LOGICAL, *OPERATORS} - {*PATTERNS, "$inGroup", "$notInGroup"}
TOLD = {"value", "in_experiment"}  # of a parent, see `recommender.assignment.told`

Key = Annotated[str, Meta(pattern=f"^{KEY.pattern}$", max_length=64)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seed = Annotated[str, Meta(min_length=1, max_length=256)]
RangePair = Annotated[list[Share], Meta(min_length=2, max_length=2)]
UnitName = Literal["visitor", "user", "session"]
Status = Literal["draft", "running", "paused", "stopped"]


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all parts: unknown fields are refused."""


class ArmSpec(Spec, frozen=True):
    """One arm: what it changes of an answer; the control changes nothing.

    Parameters
    ----------
    weight
        Share of those who take part; the weights of all arms add up to 1.
    bundle
        ``champion``, ``challenger`` or a version.
    placement
        Keys of the placement with other values, as in the placements file.
    blend
        Weight of each candidate source, in place of the learnt ones.
    ranker
        Whether the ranker, if the bundle has one, orders the candidates; else the blend does.
    """

    key: Key
    weight: Share
    bundle: Annotated[str, Meta(pattern=f"^({BUNDLE.pattern})$")] = CHAMPION
    placement: dict[str, Any] = {}
    blend: dict[str, Annotated[float, Meta(ge=0)]] = {}
    ranker: bool = True

    @property
    def changes(self) -> frozenset[str]:
        """Names of what it changes."""
        parts = {"bundle": self.bundle != CHAMPION, "blend": self.blend or not self.ranker}
        return frozenset({name for name, is_set in parts.items() if is_set} | set(self.placement))

    @property
    def overrides(self) -> ArmSpec:
        """The arm without its weight: what may not change while people are in it."""
        return msgspec.structs.replace(self, weight=0.0)


class NamespaceSpec(Spec, frozen=True):
    """A part of a namespace that others may share out."""

    name: Seed
    start: Share
    end: Share


class FilterSpec(Spec, frozen=True):
    """Only who falls into these ranges under this seed takes part."""

    seed: Seed
    ranges: Annotated[list[RangePair], Meta(min_length=1, max_length=16)]
    unit: UnitName | None = None


class HoldoutSpec(Spec, frozen=True):
    """A share of all that no experiment with this seed may touch."""

    seed: Seed
    share: Share


class StickySpec(Spec, frozen=True):
    """Arms are kept as long as the caller remembers them; see `recommender.experiment.Sticky`."""

    version: Annotated[int, Meta(ge=0, le=1000)] = 0
    min_version: Annotated[int, Meta(ge=0, le=1000)] = 0


class PrerequisiteSpec(Spec, frozen=True):
    """Only who got a certain arm of another experiment; see `recommender.experiment`."""

    experiment: Key
    condition: dict[str, Any]

    def __post_init__(self) -> None:
        check_condition(self.condition, AUDIENCE_OPERATORS)
        if unknown := sorted(_asked(self.condition) - TOLD):
            raise ValueError(f"a prerequisite about {unknown}; accepted: {sorted(TOLD)}")


def _asked(condition: Mapping[str, Any]) -> set[str]:
    """Names that a condition asks for."""
    asked = set[str]()
    for name, part in condition.items():
        if name not in LOGICAL:
            asked.add(name)
            continue
        for each in part if isinstance(part, list) else [part]:
            asked |= _asked(each)
    return asked


class ExperimentSpec(Spec, frozen=True):
    """An experiment.

    The first arm is the control. `kind` is `ab`; `aa` for a test of the tests, whose arms must not
    differ; or `interleave`, where all who take part see one list that two arms draft in turn, and
    the weights say nothing. Seed, unit, hash version, arms and everything else that decides who
    takes part stay as they are once it has run; other weights open a new phase.

    Parameters
    ----------
    seed
        Of the hash; the key where it is left out.
    placements
        Where it runs; empty: everywhere.
    audience
        What page and device must meet, see `recommender.targeting`; empty: nothing.
    assigner
        ``service``, or ``external`` where only arms count that come with the question.
    prerequisites
        Arms of other experiments that somebody must have got to take part; all of them must hold.
    """

    arms: Annotated[list[ArmSpec], Meta(min_length=2, max_length=MAX_ARMS)]
    status: Status = "draft"
    kind: Literal["ab", "aa", "interleave"] = "ab"
    description: Annotated[str, Meta(max_length=2000)] = ""
    placements: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=64)
    ] = []
    audience: dict[str, Any] = {}
    assigner: Literal["service", "external"] = "service"
    unit: UnitName = "visitor"
    fallback_unit: UnitName | None = None
    seed: Seed | None = None
    hash_version: int = UNBIASED
    coverage: Share = 1.0
    namespace: NamespaceSpec | None = None
    filters: Annotated[list[FilterSpec], Meta(max_length=16)] = []
    holdout: HoldoutSpec | None = None
    sticky: StickySpec | None = None
    prerequisites: Annotated[list[PrerequisiteSpec], Meta(max_length=16)] = []

    def __post_init__(self) -> None:
        keys = [arm.key for arm in self.arms]
        if len(set(keys)) != len(keys):
            raise ValueError(f"arms {keys}; accepted: each key once")
        if abs(sum(arm.weight for arm in self.arms) - 1) > WEIGHT_TOLERANCE:
            weights = [arm.weight for arm in self.arms]
            raise ValueError(f"weights {weights}; accepted: they add up to 1")
        if self.hash_version != UNBIASED:
            raise ValueError(
                f"hash_version {self.hash_version}; accepted: 2. Version 1 is biased: two tests of "
                "one site agree for too many subjects"
            )
        check_condition(self.audience, AUDIENCE_OPERATORS)
        if self.kind == "aa" and any(arm.changes for arm in self.arms):
            raise ValueError(
                "an A/A test with arms that differ; accepted: arms that change nothing"
            )
        if self.is_interleaved:
            self._check_draft()

    def _check_draft(self) -> None:
        one, *others = self.arms
        if len(others) != 1 or one.overrides == msgspec.structs.replace(
            others[0].overrides, key=one.key
        ):
            raise ValueError("an interleaving of other than two arms that differ; accepted: two")
        if DRAFTED in (one.key, others[0].key):
            raise ValueError(f"an arm with the key {DRAFTED!a}; accepted: any other")
        if self.assigner != "service" or self.sticky is not None:
            raise ValueError(
                "an interleaving with assigner 'external' or sticky arms; accepted: neither, "
                "everybody who takes part sees both arms"
            )

    @property
    def is_interleaved(self) -> bool:
        """Whether both arms are in one list."""
        return self.kind == INTERLEAVE

    @property
    def weights(self) -> list[float]:
        """Of the arms, in their order."""
        return [arm.weight for arm in self.arms]

    @property
    def is_running(self) -> bool:
        """Whether anybody is given an arm."""
        return self.status == "running"

    def arm(self, key: str) -> ArmSpec:
        """The arm of that key. Raises `InvalidInputError`."""
        for arm in self.arms:
            if arm.key == key:
                return arm
        accepted = ", ".join(arm.key for arm in self.arms)
        raise InvalidInputError(f"arm {key!a}; accepted: {accepted}")

    def runs_at(self, placement: str) -> bool:
        """Whether it is about a placement."""
        return not self.placements or placement in self.placements

    def is_for(self, attributes: Mapping[str, Any]) -> bool:
        """Whether page and device are those that it is about."""
        return not self.audience or meets(attributes, self.audience)

    def experiment(self, key: str, phase: int = 0) -> Experiment:
        """The part that decides who gets which arm. Raises `InvalidInputError`."""
        return Experiment(
            key=key,
            arms=tuple(arm.key for arm in self.arms),
            seed=self.seed or key,
            unit=self.unit,
            fallback_unit=self.fallback_unit,
            hash_version=self.hash_version,
            status=self.status,
            phase=phase,
            weights=tuple(self.weights),
            coverage=self.coverage,
            namespace=None if self.namespace is None else _as(Namespace, self.namespace),
            filters=tuple(
                BucketFilter(each.seed, _pairs(each.ranges), each.unit) for each in self.filters
            ),
            holdout=None if self.holdout is None else _as(Holdout, self.holdout),
            sticky=None if self.sticky is None else _as(Sticky, self.sticky),
            prerequisites=tuple(_as(Prerequisite, each) for each in self.prerequisites),
        )


def _as(kind: type[Any], part: Spec) -> Any:
    return kind(**msgspec.structs.asdict(part))


def _pairs(ranges: Iterable[list[float]]) -> tuple[tuple[float, float], ...]:
    return tuple(cast(tuple[float, float], tuple(each)) for each in ranges)


def check_key(key: str) -> str:
    """The key of an experiment. Raises `InvalidInputError`."""
    if not EXPERIMENT_KEY.fullmatch(key):
        raise InvalidInputError(
            f"experiment key {key!a}; accepted: 1 to 64 letters, digits, '_', '.' and '-', "
            "a letter or digit first, not 'tmp-'"
        )
    return key
