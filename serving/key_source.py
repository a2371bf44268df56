"""The keys in force, read again when their file changes: a key is replaced without a restart."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from recommender.errors import ConfigError
from serving.security import DEVELOPER, Caller, Keyring

logger = logging.getLogger(__name__)
CHECK_SECONDS = 1.0
DIGEST_BYTES = 32


class KeySource:
    """Finds the caller of a key.

    Parameters
    ----------
    path
        Keys file; None asks nobody for a key (``--dev``).
    monotonic
        Seconds of a clock that never steps.

    Raises
    ------
    ConfigError
        The file cannot be used. A later change that cannot be used leaves the old keys in force.
    """

    def __init__(self, path: Path | None, monotonic: Callable[[], float]) -> None:
        self._path = path
        self._monotonic = monotonic
        self._checked_at = monotonic()
        self._signature = self._stat()
        self._keyring = Keyring.read(path) if path else Keyring({})
        self._secret, self._found = os.urandom(DIGEST_BYTES), dict[bytes, Caller]()

    def find(self, key: str | None) -> Caller | None:
        """Caller of a key; None for a key that is missing or unknown."""
        if self._path is None:
            return DEVELOPER
        if key is None:
            return None
        self._refresh(self._path)
        # A digest that takes a tenth of the time of the file's, and no key stays in memory.
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), key=self._secret).digest()
        found = self._found.get(digest)
        if found is None and (found := self._keyring.find(key)) is not None:
            self._found[digest] = found
        return found

    def _refresh(self, path: Path) -> None:
        now = self._monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        signature = self._stat()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._keyring, self._found = Keyring.read(path), {}
            logger.info("keys file read again")
        except ConfigError:
            logger.exception("keys file cannot be used; the old keys stay in force")

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat() if self._path else None
        except OSError:
            return None
        return (status.st_ino, status.st_mtime_ns, status.st_size) if status else None
