"""Locks of the log folder: who writes under which name, and who may recover what.

They are `flock` locks: the kernel drops them when their process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feature_store.event_log.segment import WRITER_PATTERN
from recommender.errors import ConfigError, StorageError

MAX_WRITERS = 1000


class FileLock:
    """An open lock file. `close` gives the lock back."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)

    def take(self) -> None:
        """Wait for the exclusive lock."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Take the exclusive lock unless another process holds it in any form."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let others have it; it can be taken again."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def share(self) -> None:
        """Hold it together with others from now on."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._descriptor)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock file for the time of a ``with`` block; waits for it."""
    lock = FileLock(path)
    try:
        lock.take()
        yield
    finally:
        lock.close()


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
