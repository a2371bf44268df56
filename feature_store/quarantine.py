"""Rejected events, kept as JSON lines with the reason, so that nothing is dropped silently.

Files ``<day>.<writer>.<number>.jsonl``, each written by one process. What holds personal data is
never kept, only that it came and which field held it. When the folder is full, further rejects are
counted, not kept; the counts are lines of the same files.
"""

from __future__ import annotations

import base64
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from feature_store.erasures import ERASED
from feature_store.intake_counters import IntakeCounters
from feature_store.personal_data import looks_like_address, refuse_personal_names
from recommender.errors import InvalidEventError
from recommender.terms import MICROS_PER_SECOND

PERSONAL_DATA: Final = "personal_data"
FILE_BYTES: Final = 16 << 20
MIN_ROOM_BYTES: Final = 4096
_NAME = re.compile(r"\d{4}-\d\d-\d\d\.(?P<writer>[a-z0-9._]+)\.(?P<number>\d{6})\.jsonl")
_ENCODE = msgspec.json.Encoder().encode


class QuarantineEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rejected event.

    Parameters
    ----------
    received_at
        Server time of its first arrival, microseconds since the epoch, UTC.
    source
        Writer that rejected it.
    raw
        The bytes as sent, where they are UTF-8.
    raw_base64
        The bytes as sent, where they are not.
    withheld
        The bytes held personal data, or their shopper was erased: they were not kept.
    """

    received_at: int
    code: str
    detail: str
    source: str
    event_id: str | None = None
    raw: str | None = None
    raw_base64: str | None = None
    withheld: bool = False

    @property
    def content(self) -> bytes | None:
        """The bytes as sent, or None where they were not kept."""
        if self.raw is not None:
            return self.raw.encode()
        return base64.b64decode(self.raw_base64) if self.raw_base64 is not None else None


class NotKept(msgspec.Struct, frozen=True):
    """Rejects that were counted only, by code, since the last such line."""

    not_kept: dict[str, int]


class Reject(NamedTuple):
    """What the quarantine takes."""

    received_at: int
    code: str
    detail: str
    event_id: str | None
    raw: bytes


class Quarantine:
    """Appends rejects of one process. Only the committer's thread uses it.

    Parameters
    ----------
    folder
        ``StoreLayout.quarantine``.
    writer
        Claimed name of this process.
    max_bytes
        Size of the whole folder, at most; may be passed by one file per process.
    """

    def __init__(self, folder: Path, writer: str, max_bytes: int, counters: IntakeCounters) -> None:
        self._folder = folder
        self._writer = writer
        self._max_bytes = max_bytes
        self._counters = counters
        self._descriptor: int | None = None
        self._day = ""
        self._size = 0
        self._room = 0
        self._not_kept: Counter[str] = Counter()
        self.is_dirty = False

    def write(self, rejects: Sequence[Reject], now: int) -> None:
        """Keep what there is room for, count the rest. Never raises on a full disk."""
        if not rejects:
            return
        self._make_ready(day_of(now))
        lines: list[bytes] = []
        codes: Counter[str] = Counter()
        for reject in rejects:
            line = _ENCODE(quarantine_entry(reject, self._writer)) + b"\n"
            if self._descriptor is not None and len(line) <= self._room:
                lines.append(line)
                codes[reject.code] += 1
                self._room -= len(line)
            else:
                self._not_kept[reject.code] += 1
                self._counters.quarantine_lost += 1
        self._append(lines, codes)

    def sync(self) -> None:
        """Make everything written so far survive a power cut, counts of what was not kept too."""
        if self._not_kept and self._descriptor is not None:
            self._append([_ENCODE(NotKept(dict(self._not_kept))) + b"\n"], Counter())
            self._not_kept.clear()
        self.is_dirty = False
        if self._descriptor is not None:
            try:
                os.fdatasync(self._descriptor)
            except OSError:
                self._counters.storage_failures += 1

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        self._close_file()

    def _append(self, lines: list[bytes], codes: Counter[str]) -> None:
        if not lines or self._descriptor is None:
            return
        data = b"".join(lines)
        try:
            written = os.write(self._descriptor, data)
        except OSError:
            written = 0
        if written < len(data):
            self._undo(codes)
            return
        self._size += written
        self._counters.quarantined += codes.total()
        self.is_dirty = True

    def _undo(self, codes: Counter[str]) -> None:
        """A full disk: no torn line stays behind, and the rejects are counted."""
        self._not_kept.update(codes)
        self._counters.quarantine_lost += codes.total()
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, self._size)

    def _make_ready(self, day: str) -> None:
        """Open the file for the day; look for room again where there was none."""
        if self._descriptor is None or day != self._day or self._size >= FILE_BYTES:
            self._close_file()
            with suppress(OSError):  # then there is no file, and the rejects are counted
                self._open_file(day)
        elif self._room < MIN_ROOM_BYTES:
            self._room = self._max_bytes - folder_bytes(self._folder)

    def _open_file(self, day: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._room = self._max_bytes - folder_bytes(self._folder)
        number = self._next_number(quarantine_files(self._folder))
        path = self._folder / f"{day}.{self._writer}.{number:06d}.jsonl"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o640)
        self._day, self._size = day, 0

    def _next_number(self, files: Sequence[Path]) -> int:
        found = (_NAME.fullmatch(path.name) for path in files)
        own = [int(name["number"]) for name in found if name and name["writer"] == self._writer]
        return max(own, default=0) + 1

    def _close_file(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def quarantine_files(folder: Path) -> list[Path]:
    """Files of rejected events of the service, oldest day first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def folder_bytes(folder: Path) -> int:
    """Size of all files of the folder."""
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())


def read_quarantine(path: Path) -> Iterator[tuple[int, QuarantineEntry | NotKept | None]]:
    """Byte offset and content of each whole line of a file; None for a line that is neither."""
    offset = 0
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield offset, _decode(line)
            offset += len(line)


def quarantine_entry(reject: Reject, source: str) -> QuarantineEntry:
    """What is kept of a reject."""
    detail = _printable(reject.detail) if not looks_like_address(reject.detail) else "withheld"
    event_id = _printable(reject.event_id) if reject.event_id is not None else None
    entry = QuarantineEntry(reject.received_at, reject.code, detail, source, event_id)
    if reject.code in (PERSONAL_DATA, ERASED) or _is_personal(reject.raw):
        return msgspec.structs.replace(entry, event_id=None, withheld=True)
    try:
        return msgspec.structs.replace(entry, raw=reject.raw.decode())
    except UnicodeDecodeError:
        return msgspec.structs.replace(entry, raw_base64=base64.b64encode(reject.raw).decode())


def day_of(micros: int) -> str:
    """UTC day of a time, ``YYYY-MM-DD``."""
    return datetime.fromtimestamp(micros // MICROS_PER_SECOND, UTC).date().isoformat()


def _printable(text: str) -> str:
    """The text with halves of surrogate pairs escaped, since UTF-8 has no form for them."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_personal(raw: bytes) -> bool:
    """An event may break two rules, and the check that failed need not be this one."""
    if looks_like_address(raw.decode("utf-8", "replace")):
        return True
    try:
        refuse_personal_names(msgspec.json.decode(raw))
    except InvalidEventError:
        return True
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return False


def _decode(line: bytes) -> QuarantineEntry | NotKept | None:
    kind: type[QuarantineEntry | NotKept] = (
        NotKept if line.startswith(b'{"not_kept"') else QuarantineEntry
    )
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
