"""Whether two experiments may run side by side."""

from __future__ import annotations

from collections.abc import Iterable

from feature_store.experiment_change import StoredExperiment
from feature_store.experiment_spec import ExperimentSpec
from recommender.errors import ConflictError
from recommender.experiment import BucketFilter, Experiment


def check_apart(stored: StoredExperiment, others: Iterable[StoredExperiment]) -> None:
    """Raise `ConflictError` where another running experiment changes the same of the same answers.

    Two arms would then want one thing to be two things, and neither would be what its record says.
    """
    for other in others:
        if other.key == stored.key or not (stored.spec.is_running and other.spec.is_running):
            continue
        both = _changes(stored.spec) & _changes(other.spec)
        if both and _meet(stored.spec, other.spec) and not _apart(stored, other):
            raise ConflictError(
                f"{sorted(both)} is changed by the running experiment {other.key} as well; "
                "accepted: other placements, or parts of one namespace that do not overlap"
            )


def _changes(spec: ExperimentSpec) -> frozenset[str]:
    drafts = {"draft"} if spec.is_interleaved else set[str]()
    return frozenset(drafts).union(*(arm.changes for arm in spec.arms))


def _meet(one: ExperimentSpec, other: ExperimentSpec) -> bool:
    return (
        not one.placements
        or not other.placements
        or not set(one.placements).isdisjoint(other.placements)
    )


def _apart(one: StoredExperiment, other: StoredExperiment) -> bool:
    """Whether no subject can be in both."""
    first, second = one.experiment, other.experiment
    units = {first.unit, first.fallback_unit or first.unit}
    if units != {second.unit, second.fallback_unit or second.unit} or len(units) > 1:
        return False
    if first.filters or second.filters:
        return any(_exclude(a, b, first) for a in first.filters for b in second.filters)
    spaces = first.namespace, second.namespace
    return None not in spaces and not spaces[0].overlaps(spaces[1])  # type: ignore[union-attr, arg-type]


def _exclude(a: BucketFilter, b: BucketFilter, experiment: Experiment) -> bool:
    same = a.seed == b.seed and (a.unit or experiment.unit) == (b.unit or experiment.unit)
    return same and all(
        end <= start_b or end_b <= start for start, end in a.ranges for start_b, end_b in b.ranges
    )
