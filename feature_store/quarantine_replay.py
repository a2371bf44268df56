"""Sending quarantined events once more, after a dialect was mended or a limit was changed.

An entry is marked only after it was stored, became a duplicate, or was quarantined anew by the
intake; marks are synced. A replay that is killed repeats at most what the dedup index calls
duplicates. Files whose entries are all marked can be removed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from feature_store.events import InteractionEvent
from feature_store.file_lock import exclusive
from feature_store.layout import StoreLayout
from feature_store.quarantine import (
    NotKept,
    QuarantineEntry,
    quarantine_files,
    read_quarantine,
)
from feature_store.verdicts import CONFLICT, TOO_LATE, Verdict
from recommender.errors import InvalidEventError

MARK_SUFFIX: Final = ".done"
# Sent again only when named: the id of a conflict belongs to another event, and an event that came
# too late stays so unless the limit is changed.
LASTING: Final = frozenset({CONFLICT, TOO_LATE})
BATCH: Final = 500

Normalise: TypeAlias = Callable[[object, int], InteractionEvent]


class Replayed(NamedTuple):
    """An entry that became an event.

    Parameters
    ----------
    raw
        The bytes as sent.
    received_at
        When it first arrived, microseconds; lateness is to be judged by it.
    """

    event: InteractionEvent
    raw: bytes
    received_at: int


Submit: TypeAlias = Callable[[Sequence[Replayed]], Sequence[Verdict]]


@dataclass(slots=True)
class ReplayReport:
    """What a replay did; `entries` is the sum of the others, by file line.

    Parameters
    ----------
    submitted
        By status of the verdict. Those rejected once more were quarantined anew by the intake.
    still_invalid
        Refused by `normalise` as before, by code; they stay.
    already_done
        Marked by an earlier replay.
    not_selected
        Of another code than those asked for.
    withheld
        Their bytes were never kept.
    unreadable
        Lines that are no entries.
    """

    entries: int = 0
    submitted: Counter[str] = field(default_factory=Counter)
    still_invalid: Counter[str] = field(default_factory=Counter)
    already_done: int = 0
    not_selected: int = 0
    withheld: int = 0
    unreadable: int = 0


def replay(
    layout: StoreLayout, normalise: Normalise, submit: Submit, codes: Iterable[str] | None = None
) -> ReplayReport:
    """Send quarantined events again. Idempotent; never loses an entry.

    Parameters
    ----------
    normalise
        Raw JSON value and microseconds of arrival → event; raises `InvalidEventError`.
    submit
        Stores events and returns a verdict for each, in order; what it raises ends the replay.
    codes
        Replay only these; None for all but `LASTING`.
    """
    report = ReplayReport()
    wanted = None if codes is None else frozenset(codes)
    layout.quarantine.mkdir(parents=True, exist_ok=True)
    with exclusive(layout.quarantine / "replay.lock"):
        for path in quarantine_files(layout.quarantine):
            entries = _due(path, wanted, report)
            ready = _normalised(entries, normalise, report)
            while batch := list(islice(ready, BATCH)):
                _submit(path, batch, submit, report)
    return report


def unreplayed(path: Path) -> int:
    """Entries of a quarantine file that no replay has marked."""
    done = _marks(path)
    return sum(
        isinstance(entry, QuarantineEntry) and offset not in done
        for offset, entry in read_quarantine(path)
    )


def _due(
    path: Path, wanted: frozenset[str] | None, report: ReplayReport
) -> Iterator[tuple[int, QuarantineEntry]]:
    done = _marks(path)
    for offset, entry in read_quarantine(path):
        if isinstance(entry, NotKept):
            continue
        report.entries += 1
        if entry is None:
            report.unreadable += 1
        elif offset in done:
            report.already_done += 1
        elif entry.code in LASTING if wanted is None else entry.code not in wanted:
            report.not_selected += 1
        elif entry.withheld:
            report.withheld += 1
        else:
            yield offset, entry


def _normalised(
    entries: Iterator[tuple[int, QuarantineEntry]], normalise: Normalise, report: ReplayReport
) -> Iterator[tuple[int, Replayed]]:
    for offset, entry in entries:
        raw = entry.content or b""
        try:
            event = normalise(msgspec.json.decode(raw), entry.received_at)
        except InvalidEventError as error:
            report.still_invalid[error.code] += 1
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            report.still_invalid["not_json"] += 1
        else:
            yield offset, Replayed(event, raw, entry.received_at)


def _submit(
    path: Path, batch: Sequence[tuple[int, Replayed]], submit: Submit, report: ReplayReport
) -> None:
    verdicts = submit([replayed for _, replayed in batch])
    report.submitted.update(verdict.status for verdict in verdicts)
    _mark(path, [offset for offset, _ in batch])


def _marks(path: Path) -> set[int]:
    marks = path.with_name(path.name + MARK_SUFFIX)
    if not marks.is_file():
        return set()
    # A mark whose line end is missing was not written whole: its entry is sent again.
    lines = marks.read_bytes().split(b"\n")[:-1]
    return {int(line) for line in lines if line.isdigit()}


def _mark(path: Path, offsets: Sequence[int]) -> None:
    marks = path.with_name(path.name + MARK_SUFFIX)
    with marks.open("ab") as stream:
        # The line end in front closes a mark that a killed replay left half written.
        stream.write(b"\n" + b"".join(b"%d\n" % offset for offset in offsets))
        stream.flush()
        os.fsync(stream.fileno())
