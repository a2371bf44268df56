"""A lock file between processes.

`flock` locks: the kernel drops them when their process ends, however it ends. They also stand in
front of LMDB's own write lock: its robust mutex can lose a wake-up when a process that waits for
it is killed (seen once in some 400 killed writers), and then everybody waits for ever.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileLock:
    """An open lock file. `close` gives the lock back."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)

    def take(self) -> None:
        """Wait for the exclusive lock."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def try_take(self) -> bool:
        """Take the exclusive lock unless another process holds it in any form."""
        return self._is_given(fcntl.LOCK_EX)

    def try_share(self) -> bool:
        """Hold it together with others unless another process holds the exclusive lock."""
        return self._is_given(fcntl.LOCK_SH)

    def _is_given(self, operation: int) -> bool:
        try:
            fcntl.flock(self._descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let others have it; it can be taken again."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def share(self) -> None:
        """Hold it together with others from now on."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the exclusive lock for the time of a ``with`` block; waits for it."""
        self.take()
        try:
            yield
        finally:
            self.release()

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
