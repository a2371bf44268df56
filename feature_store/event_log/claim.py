"""Locks of the log folder: who writes under which name, and who may recover what."""

from __future__ import annotations

from pathlib import Path

from feature_store.event_log.segment import WRITER_PATTERN
from feature_store.file_lock import FileLock
from recommender.errors import ConfigError, StorageError

MAX_WRITERS = 1000


def check_writer(prefix: str) -> None:
    """Raise `ConfigError` unless a writer may be called so."""
    if WRITER_PATTERN.fullmatch(f"{prefix}.{MAX_WRITERS}") is None:
        raise ConfigError(
            f"writer name {prefix!r}: wanted 1 to 58 of a-z, 0-9, '.' and '_', "
            "beginning with a letter or digit"
        )


def claim_writer(folder: Path, prefix: str) -> tuple[str, FileLock]:
    """The first free name of ``<prefix>.1``, ``<prefix>.2``, …, held until the lock is closed.

    Names are reused after a restart, so that a stream goes on where it ended, and never held by
    two live processes.
    """
    for number in range(1, MAX_WRITERS + 1):
        name = f"{prefix}.{number}"
        lock = try_claim(folder, name)
        if lock is not None:
            return name, lock
    raise StorageError(f"{folder}: {MAX_WRITERS} processes already write as {prefix!r}")


def try_claim(folder: Path, writer: str) -> FileLock | None:
    """Hold one name, or None when a live process has it."""
    lock = FileLock(folder / f"{writer}.lock")
    if lock.try_take():
        return lock
    lock.close()
    return None
