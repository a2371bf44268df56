"""What may become of an experiment, and what was: revisions, phases, what is frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from feature_store.experiment_spec import ExperimentSpec
from recommender.errors import ConflictError
from recommender.experiment import Experiment

SCHEMA: Final = 1
DRAFT: Final = "draft"
NEXT_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
    DRAFT: (DRAFT, "running", "stopped"),
    "running": ("running", "paused", "stopped"),
    "paused": ("paused", "running", "stopped"),
    "stopped": (),
}
FROZEN: Final = (
    "kind",
    "assigner",
    "audience",
    "unit",
    "fallback_unit",
    "seed",
    "hash_version",
    "placements",
    "namespace",
    "filters",
    "holdout",
    "prerequisites",
)


class Revision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One state of an experiment.

    Parameters
    ----------
    number
        From 1.
    at
        When it came about, microseconds since the epoch, UTC.
    by
        Name of the API key, or of the program.
    phase
        Counts changes of the weights of one that had started, from 0.
    changed
        Names of the fields that differ from the revision before.
    """

    number: int
    at: int
    by: str
    spec: ExperimentSpec
    phase: int = 0
    changed: tuple[str, ...] = ()


class StoredExperiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An experiment with all that it ever was, oldest first."""

    key: str
    revisions: tuple[Revision, ...]
    schema: int = SCHEMA

    @property
    def current(self) -> Revision:
        """The newest revision."""
        return self.revisions[-1]

    @property
    def spec(self) -> ExperimentSpec:
        """What is in force."""
        return self.current.spec

    @property
    def experiment(self) -> Experiment:
        """The part that decides who gets which arm. Raises `InvalidInputError`."""
        return self.spec.experiment(self.key, self.current.phase)

    @property
    def etag(self) -> str:
        """Changes with every revision; with its quotes."""
        text = msgspec.json.encode(self.current)
        return f'"{self.current.number}-{hashlib.sha256(text).hexdigest()[:12]}"'


def created(key: str, spec: ExperimentSpec, by: str, at: int) -> StoredExperiment:
    """A new experiment. Raises `InvalidInputError` and `ConflictError`."""
    if spec.status not in (DRAFT, "running"):
        raise ConflictError(f"a new experiment that is {spec.status}; accepted: draft, running")
    spec.experiment(key)
    return StoredExperiment(key, (Revision(1, at, by, spec),))


def revised(stored: StoredExperiment, spec: ExperimentSpec, by: str, at: int) -> StoredExperiment:
    """An experiment with another specification; itself where that is the same.

    Raises
    ------
    InvalidInputError
        The specification is none.
    ConflictError
        What it changes is frozen, or its status cannot follow.
    """
    before = stored.current
    spec.experiment(stored.key)
    if not (names := _changed(before.spec, spec)):
        return stored
    accepted = NEXT_STATUS[before.spec.status]
    if spec.status not in accepted:
        shown = ", ".join(accepted) or "nothing, it is over"
        raise ConflictError(f"status {before.spec.status} -> {spec.status}; accepted: {shown}")
    is_new_phase = False
    if before.spec.status != DRAFT:
        _check_frozen(before.spec, spec, stored.key)
        is_new_phase = before.spec.weights != spec.weights or before.spec.sticky != spec.sticky
    revision = Revision(before.number + 1, at, by, spec, before.phase + is_new_phase, names)
    return StoredExperiment(stored.key, (*stored.revisions, revision))


def _changed(before: ExperimentSpec, after: ExperimentSpec) -> tuple[str, ...]:
    fields: tuple[str, ...] = ExperimentSpec.__struct_fields__
    return tuple(name for name in fields if getattr(before, name) != getattr(after, name))


def _check_frozen(before: ExperimentSpec, after: ExperimentSpec, key: str) -> None:
    for name in FROZEN:
        old, new = _frozen(before, name, key), _frozen(after, name, key)
        if old != new:
            raise ConflictError(
                f"{name} of an experiment that has run; accepted: as it was. "
                "A copy under another key may differ"
            )
    if [arm.overrides for arm in before.arms] != [arm.overrides for arm in after.arms]:
        raise ConflictError(
            "arms of an experiment that has run; accepted: the same arms, with other weights"
        )


def _frozen(spec: ExperimentSpec, name: str, key: str) -> Any:
    return (spec.seed or key) if name == "seed" else getattr(spec, name)
