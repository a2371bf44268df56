"""The assignments of an experiment for a warehouse: four columns, page by page.

The columns are those that experiment tools ask for in an assignment table, one row per answer:
``timestamp`` (ISO 8601, UTC), ``experiment_id``, ``variation_id`` and ``subject_id`` (the
pseudonym). A tool takes a subject's first row as its exposure. The log is append-only, so a cursor
stays good: a later page goes on where the log had ended.
"""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from feature_store.erasures import Erasures
from feature_store.event_log import LogReader
from feature_store.event_log.segment import SegmentName, list_segments
from feature_store.experiment_rows import assigned, reason_left_out
from feature_store.layout import StoreLayout
from feature_store.records import AssignmentRecord, DecisionRecord
from recommender.errors import InvalidInputError

MOST_ROWS: Final = 10_000
MOST_RECORDS: Final = 200_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_Number = Annotated[int, Meta(ge=0, le=sys.maxsize)]
Place = tuple[_Number, _Number]
"""Number of a segment, and position in it."""
_PLACES: Final = msgspec.json.Decoder(dict[str, Place])


class AssignmentRow(msgspec.Struct, frozen=True):
    """One row of the table."""

    timestamp: str
    experiment_id: str
    variation_id: str
    subject_id: str


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Rows, and where the next page begins.

    Parameters
    ----------
    is_end
        The log had no more when it was read; the cursor is good for what comes later.
    """

    rows: tuple[AssignmentRow, ...]
    cursor: str
    is_end: bool


def export_page(
    layout: StoreLayout,
    key: str,
    cursor: str | None = None,
    limit: int = MOST_ROWS,
    most_records: int = MOST_RECORDS,
) -> ExportPage:
    """Read one page; empty and at the end where the log has nothing (more) of the experiment.

    Parameters
    ----------
    limit
        Rows after which the page ends.
    most_records
        Records of the log after which it ends as well: a rare experiment has empty pages.

    Forced arms, trials, those who do not take part and the erased are not in it: what
    `desirepath experiment read` leaves out.

    Raises
    ------
    InvalidInputError
        The cursor is not one of ours, or the limit is not acceptable.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidInputError(f"limit={limit}; accepted: 1 to {MOST_ROWS}")
    furthest = {} if cursor is None else _places(cursor)
    if not layout.log.is_dir():
        return ExportPage((), _cursor(furthest, {}), is_end=True)
    reader, rows = LogReader(layout.log, _positions(layout, furthest)), list[AssignmentRow]()
    erased = Erasures(layout.erasures).subjects
    for looked, entry in enumerate(reader, 1):
        record = entry.record
        for each in assigned(record, key):
            if isinstance(record, DecisionRecord) and not reason_left_out(record, each, erased):
                rows.append(_row(record, each))
        if len(rows) >= limit or looked >= most_records:
            return ExportPage(tuple(rows), _cursor(furthest, reader.positions), is_end=False)
    return ExportPage(tuple(rows), _cursor(furthest, reader.positions), is_end=True)


def _row(record: DecisionRecord, assignment: AssignmentRecord) -> AssignmentRow:
    at = _EPOCH + timedelta(microseconds=record.ts_server)
    return AssignmentRow(
        at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        assignment.experiment,
        assignment.variant,
        record.subject_key,
    )


def _cursor(before: Mapping[str, Place], positions: Mapping[str, int]) -> str:
    """How far each writer was read; what lies before in its order was read whole."""
    furthest = dict(before)
    for segment, position in positions.items():
        if (name := SegmentName.parse(segment)) is not None:
            place = (name.number, position)
            furthest[name.writer] = max(furthest.get(name.writer, place), place)
    return base64.urlsafe_b64encode(msgspec.json.encode(furthest, order="sorted")).decode()


def _places(cursor: str) -> dict[str, Place]:
    try:
        found = _PLACES.decode(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidInputError("cursor is not one that an export gave") from error
    return found


def _positions(layout: StoreLayout, furthest: Mapping[str, Place]) -> dict[str, int]:
    """Where to go on in each segment that was begun."""
    after = {}
    for name in list_segments(layout.log):
        number, position = furthest.get(name.writer, (-1, 0))
        if name.number <= number:
            after[str(name)] = position if name.number == number else sys.maxsize
    return after
