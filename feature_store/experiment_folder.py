"""The experiments of a shop: one file each, with its history, below the data folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from feature_store.atomic_file import write_atomic
from feature_store.experiment_change import SCHEMA, StoredExperiment
from feature_store.experiment_spec import EXPERIMENT_KEY, check_key
from feature_store.file_lock import exclusive
from recommender.errors import ConfigError, DataError, InvalidInputError

SUFFIX = ".json"
LOCK = "folder.lock"
_DECODE = msgspec.json.Decoder(StoredExperiment).decode
Change = Callable[[StoredExperiment | None], StoredExperiment]


@dataclass(frozen=True, slots=True)
class ReadExperiments:
    """What a folder holds.

    Parameters
    ----------
    refused
        Key → why its file cannot be used.
    """

    found: dict[str, StoredExperiment] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExperimentFolder:
    """Reads and changes the experiments of one shop; several processes may.

    Parameters
    ----------
    root
        ``StoreLayout.experiments``; made with the first experiment.
    """

    root: Path

    def read(self, key: str) -> StoredExperiment | None:
        """One experiment; None where there is none. Raises `InvalidInputError`."""
        path = self._path(check_key(key))
        try:
            stored = _DECODE(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"{path}: {error}") from error
        _check(stored, key, path)
        return stored

    def read_all(self) -> ReadExperiments:
        """All experiments, by key; what cannot be used is named."""
        result = ReadExperiments()
        for path in self.files():
            try:
                if (stored := self.read(path.stem)) is not None:
                    result.found[stored.key] = stored
            except InvalidInputError as error:
                result.refused[path.stem] = f"{error}"
        return result

    def files(self) -> list[Path]:
        """The files of experiments, in the order of their keys."""
        names = self.root.glob(f"*{SUFFIX}")
        return sorted(path for path in names if EXPERIMENT_KEY.fullmatch(path.stem))

    def change(self, key: str, change: Change) -> StoredExperiment:
        """Put what `change` makes of an experiment in its place; durable when this returns.

        Raises
        ------
        InvalidInputError
            The key, or the file that is there, is not acceptable.
        StorageError
            It could not be written.
        """
        path = self._path(check_key(key))
        self.root.mkdir(parents=True, exist_ok=True)
        with exclusive(self.root / LOCK):
            stored = self.read(key)
            changed = change(stored)
            if changed is not stored:
                text = msgspec.json.format(msgspec.json.encode(changed), indent=1)
                write_atomic(path, text + b"\n")
            return changed

    def _path(self, key: str) -> Path:
        return self.root / f"{key}{SUFFIX}"


def known_experiment(root: Path, key: str) -> StoredExperiment:
    """An experiment that must be there. Raises `DataError` or `InvalidInputError`."""
    if (stored := ExperimentFolder(root).read(key)) is None:
        known = ", ".join(path.stem for path in ExperimentFolder(root).files()) or "none"
        raise DataError(f"{root}: no experiment {key}; there are: {known}")
    return stored


def _check(stored: StoredExperiment, key: str, path: Path) -> None:
    if stored.key != key or stored.schema != SCHEMA or not stored.revisions:
        raise ConfigError(
            f"{path}: experiment {stored.key!a}, schema {stored.schema}, "
            f"{len(stored.revisions)} revisions; accepted: {key}, {SCHEMA}, 1 or more"
        )
    stored.experiment  # noqa: B018 - it checks what the specification says
