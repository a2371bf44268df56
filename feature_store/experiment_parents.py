"""Prerequisites between experiments: every parent is there, and none waits for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from feature_store.experiment_change import StoredExperiment
from feature_store.experiment_spec import DRAFTED, ExperimentSpec
from recommender.errors import ConflictError, InvalidInputError


def check_parents(stored: StoredExperiment, others: Iterable[StoredExperiment]) -> None:
    """Check the prerequisites of an experiment that is to be kept beside others.

    Raises
    ------
    InvalidInputError
        A parent, or the arm of a parent that is asked for, does not exist.
    ConflictError
        An experiment would wait for itself.
    """
    specs = {each.key: each.spec for each in others} | {stored.key: stored.spec}
    for each in stored.spec.prerequisites:
        _check_arm(stored.key, each.experiment, each.condition.get("value"), specs)
    if circle := circle_of(specs):
        raise ConflictError(
            f"experiments that wait for one another: {' -> '.join(circle)}; accepted: "
            "prerequisites that lead to an experiment without any"
        )


def unusable(specs: Mapping[str, ExperimentSpec]) -> dict[str, str]:
    """Key → why, of experiments whose prerequisites nobody could tell."""
    found: dict[str, str] = {}
    for key, spec in specs.items():
        try:
            for each in spec.prerequisites:
                _check_arm(key, each.experiment, None, specs)
        except InvalidInputError as error:
            found[key] = f"{error}"
    for key in circle_of({key: spec for key, spec in specs.items() if key not in found}):
        found[key] = "its prerequisites lead back to itself"
    return found


def circle_of(specs: Mapping[str, ExperimentSpec]) -> list[str]:
    """Experiments that wait for one another, the first one again at the end; empty without any."""
    parents = {key: [p.experiment for p in spec.prerequisites] for key, spec in specs.items()}
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        # graphlib names each parent before its child; here each waits for the one behind it.
        return list(reversed(error.args[1]))
    return []


def _check_arm(key: str, parent: str, arm: object, specs: Mapping[str, ExperimentSpec]) -> None:
    if (spec := specs.get(parent)) is None:
        known = ", ".join(sorted(specs.keys() - {key})) or "none"
        raise InvalidInputError(f"{key}: no experiment {parent!a} to wait for; there are: {known}")
    arms = [DRAFTED] if spec.is_interleaved else []
    arms += [each.key for each in spec.arms]
    if isinstance(arm, str) and arm not in arms:
        raise InvalidInputError(f"{key}: {parent} has no arm {arm!a}; accepted: {', '.join(arms)}")
