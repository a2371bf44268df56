"""The arms of a file of subjects, outside the service, and a digest to compare them by."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from feature_store.experiment_change import StoredExperiment
from feature_store.experiment_spec import ExperimentSpec, check_key
from recommender.assignment import Assignment, Subject, assign, told
from recommender.errors import ConfigError, DataError
from recommender.experiment import Experiment


@dataclass(slots=True)
class AssignmentDigest:
    """The arms of many subjects in one number: the sha256 of all ids and arms in their order.

    Whoever takes part counts with the arm, who does not with none.
    """

    subjects: int = 0
    arms: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, subject_id: str, variant: str, reason: str, *, takes_part: bool) -> None:
        """Count one subject."""
        self.subjects += 1
        counts, key = (self.arms, variant) if takes_part else (self.outside, reason)
        counts[key] += 1
        text = f"{subject_id}\0{variant if takes_part else ''}\n"
        self._hash.update(text.encode("utf-8", "surrogatepass"))

    @property
    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class WithParents:
    """An experiment, and those that it waits for, by key."""

    experiment: Experiment
    parents: Mapping[str, WithParents]

    def assign(self, subject: Subject) -> Assignment:
        """The arm of a subject, its arms in the parents known."""
        if self.parents:
            arms = {key: told(each.assign(subject)) for key, each in self.parents.items()}
            subject = replace(subject, parents=arms)
        return assign(self.experiment, subject)


def assigned(experiment: WithParents, ids: Iterable[str]) -> Iterator[tuple[str, Assignment]]:
    """Each subject with its arm, by the code that serves."""
    for subject_id in ids:
        subject = Subject({experiment.experiment.unit: subject_id})
        yield subject_id, experiment.assign(subject)


def read_with_parents(path: Path, below: tuple[str, ...] = ()) -> WithParents:
    """An experiment with those that it waits for, from files beside its own.

    Raises
    ------
    InvalidInputError
        One of them is no experiment, or they wait for one another.
    """
    experiment = read_experiment(path)
    way = (*below, experiment.key)
    if experiment.key in below:
        raise ConfigError(
            f"experiments that wait for one another: {' -> '.join(way)}; accepted: prerequisites "
            "that lead to an experiment without any"
        )
    names = {each.experiment for each in experiment.prerequisites}
    parents = {name: read_with_parents(path.with_name(f"{name}.json"), way) for name in names}
    return WithParents(experiment, parents)


def read_experiment(path: Path) -> Experiment:
    """The experiment of a file: one of the service with its history, or a plain specification.

    A plain one has the name of its file as its key.

    Raises
    ------
    InvalidInputError
        It is neither.
    """
    try:
        raw = path.read_bytes()
        if "revisions" in msgspec.json.decode(raw, type=dict):
            return msgspec.json.decode(raw, type=StoredExperiment).experiment
        return msgspec.json.decode(raw, type=ExperimentSpec).experiment(check_key(path.stem))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, IndexError) as error:
        raise ConfigError(f"{path}: {error}") from error


def read_ids(path: Path) -> list[str]:
    """Ids of a UTF-8 file, one a line, byte for byte. Raises `DataError`."""
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from error
    return lines[:-1] if lines[-1] == "" else lines
