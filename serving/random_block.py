"""Random bytes in small portions: one system call for many of them."""

from __future__ import annotations

import os
from collections.abc import Callable

BLOCK_BYTES = 4096
_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - of the process
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


class RandomBlock:
    """Hands out random bytes, each once, also where a process forks. For one thread at a time.

    Parameters
    ----------
    random_bytes
        Bytes that nobody can guess, such as `os.urandom`.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._block, self._at, self._made_after = b"", 0, _forks

    def __call__(self, count: int) -> bytes:
        """The next `count` bytes, up to `BLOCK_BYTES`."""
        start, end = self._at, self._at + count
        if end > len(self._block) or self._made_after != _forks:
            # What a parent holds is its own: its children would all say the same.
            self._block, self._made_after = self._random_bytes(BLOCK_BYTES), _forks
            start, end = 0, count
        self._at = end
        return self._block[start:end]
