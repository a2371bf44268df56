"""Who asked to be forgotten, and when: what they did up to then is never read again.

One small file beside the log, ``erasures.json``, replaced atomically before an erasure is promised;
all processes see a change at their next look. It holds no id, only hashes of ids, so that it may
be kept for ever: events of an erased shopper may still arrive late, or in a file that is ingested.

A *subject* is the hash of a visitor id, of a user id, or of a pseudonym in decision records. It is
*pending* until `feature_store.erase` has removed its traces from the tables and the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from feature_store.atomic_file import storage_error, write_atomic
from feature_store.file_lock import FileLock
from recommender.errors import StorageError

VISITOR: Final = "visitor"
USER: Final = "user"
RECORD: Final = "record"
ERASED: Final = "erased"
"""Code of the verdict on an event whose shopper has been erased since."""


class _Ledger(msgspec.Struct, frozen=True):
    """The file: moment of erasure by subject (microseconds), and the subjects pending."""

    subjects: dict[str, int] = {}
    pending: tuple[str, ...] = ()


def subject_of(kind: str, name: str) -> str:
    """Subject of an id or pseudonym: 128 bits of its BLAKE2b, hex."""
    named = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(named, digest_size=16, person=b"erased subject").hexdigest()


def erased_at(subjects: Mapping[str, int], visitor_id: str | None, user_id: str | None) -> int:
    """`Erasures.erased_at` of subjects that were read before."""
    if not subjects:
        return 0
    visitor = subjects.get(subject_of(VISITOR, visitor_id), 0) if visitor_id else 0
    user = subjects.get(subject_of(USER, user_id), 0) if user_id else 0
    return max(visitor, user)


class Erasures:
    """The erasures of one shop. Safe to share between threads and processes.

    Parameters
    ----------
    path
        ``StoreLayout.erasures``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._ledger = _Ledger()

    @property
    def subjects(self) -> Mapping[str, int]:
        """Moment of erasure by subject, microseconds. Raises `StorageError` for a broken file."""
        return self._current().subjects

    @property
    def pending(self) -> Mapping[str, int]:
        """The part of `subjects` whose traces are still on disk."""
        ledger = self._current()
        return {subject: ledger.subjects[subject] for subject in ledger.pending}

    def erased_at(self, visitor_id: str | None, user_id: str | None) -> int:
        """Up to when nothing of this visitor, or of this user, counts; 0: everything does."""
        return erased_at(self._current().subjects, visitor_id, user_id)

    def add(self, subjects: Iterable[str], at: int) -> None:
        """Erase up to `at`, microseconds; durable on return. Raises `StorageError`."""
        new = dict.fromkeys(subjects, at)
        with self._locked():
            ledger = self._read()
            moments = {each: max(at, ledger.subjects.get(each, 0)) for each in new}
            pending = tuple(sorted({*ledger.pending, *new}))
            self._write(_Ledger(dict(ledger.subjects) | moments, pending))

    def settle(self, done: Mapping[str, int]) -> None:
        """Say that the traces of these subjects, up to these moments, are gone."""
        with self._locked():
            ledger = self._read()
            left = [each for each in ledger.pending if done.get(each) != ledger.subjects[each]]
            self._write(_Ledger(ledger.subjects, tuple(left)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path.with_suffix(".lock"))
        except OSError as error:
            raise storage_error(error, self._path) from error
        try:
            with lock.held():
                yield
        finally:
            lock.close()

    def _write(self, ledger: _Ledger) -> None:
        write_atomic(self._path, msgspec.json.encode(ledger))

    def _current(self) -> _Ledger:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            # Not "nothing is erased" where something was: the last known erasures stay in force.
            return self._ledger
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._ledger, self._seen = self._read(), seen
        return self._ledger

    def _read(self) -> _Ledger:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Ledger)
        except FileNotFoundError:
            return _Ledger()
        except (OSError, msgspec.DecodeError) as error:
            raise StorageError(f"{self._path}: cannot be read: {error}") from error
