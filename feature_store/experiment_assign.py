"""The arms of a file of subjects, outside the service, and a digest to compare them by."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from feature_store.experiment_change import StoredExperiment
from feature_store.experiment_spec import ExperimentSpec, check_key
from recommender.assignment import Assignment, Subject, assign
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


def assigned(experiment: Experiment, ids: Iterable[str]) -> Iterator[tuple[str, Assignment]]:
    """Each subject with its arm, by the code that serves."""
    for subject_id in ids:
        yield subject_id, assign(experiment, Subject({experiment.unit: subject_id}))


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
