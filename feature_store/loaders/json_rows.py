"""JSON lines of events as canonical rows, through the same door as events from the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import msgspec
import polars as pl

from feature_store.dialects import normalise
from feature_store.events import EventItem, InteractionEvent, content_id
from feature_store.loaders.columns import RAW, REJECT_REASON, SCHEMA
from feature_store.loaders.files import list_files, open_bytes
from feature_store.loaders.occurrence import OccurrenceCounter
from feature_store.loaders.options import LoadOptions
from feature_store.personal_data import looks_like_address
from recommender import terms
from recommender.errors import DataError, InvalidEventError

MAX_LINE_BYTES: Final = 1 << 20
MAX_LINE_SHOWN: Final = 2000
_SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
# Stands for "no time was sent": a file has no moment of arrival to take instead.
_NO_TIME: Final = 0
_NO_ITEM: Final = EventItem(item_id="")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Row = tuple[object, ...]
Line = tuple[int, bytes]


def event_batches(
    path: Path, options: LoadOptions, dialect: str | None = None
) -> Iterator[pl.DataFrame]:
    """Canonical rows of a file or folder of JSON lines.

    Parameters
    ----------
    dialect
        The one all lines are in; None tells them line by line.
    """
    counter = OccurrenceCounter()
    for file in list_files(path, *_SUFFIXES):
        rows = _Rows()
        for line in _lines(file):
            rows.add(line, dialect)
            if len(rows.rows) >= options.batch_rows:
                yield from rows.frames(counter, options)
                rows = _Rows()
        yield from rows.frames(counter, options)


@dataclass(slots=True)
class _Rows:
    """Rows of a batch, and which of them belong to events whose id is made from their content."""

    rows: list[Row] = field(default_factory=list)
    is_made: list[bool] = field(default_factory=list)

    def add(self, line: Line, dialect: str | None) -> None:
        """Add the rows of one line: one per item, or one that says why there is none."""
        try:
            event = _event(line[1], dialect)
        except InvalidEventError as error:
            new, is_made = [_rejected(line, error.code)], False
        else:
            new, is_made = event_rows(event), _is_made(event)
        self.rows += new
        self.is_made += [is_made] * len(new)

    def frames(self, counter: OccurrenceCounter, options: LoadOptions) -> Iterator[pl.DataFrame]:
        """The frame, in slices of at most the batch size."""
        if not self.rows:
            return
        frame = pl.DataFrame(self.rows, schema=SCHEMA, orient="row")
        yield from self._numbered(frame, counter).iter_slices(options.batch_rows)

    def _numbered(self, frame: pl.DataFrame, counter: OccurrenceCounter) -> pl.DataFrame:
        """Tell repeated events without an id of their own apart, so that none is lost."""
        made = frame.with_row_index("_index").filter(pl.Series(self.is_made))
        if made.is_empty():
            return frame
        heads = made.filter(pl.col(terms.ITEM_POSITION) == 0)
        number = counter.positions(heads[terms.EVENT_ID])
        suffix = pl.when(number > 0).then(pl.concat_str(pl.lit("-"), number))
        suffixed = heads.select("_index", suffix.fill_null("").alias("_suffix"))
        by_row = frame.with_row_index("_index").join(
            suffixed, on="_index", how="left", maintain_order="left"
        )
        is_made = pl.Series(self.is_made)
        # An event's first row comes first, so its suffix holds until the next event's.
        made_id = pl.concat_str(terms.EVENT_ID, pl.col("_suffix").forward_fill())
        event_id = pl.when(is_made).then(made_id).otherwise(terms.EVENT_ID)
        return by_row.with_columns(event_id.alias(terms.EVENT_ID)).select(*SCHEMA)


def _lines(file: Path) -> Iterator[Line]:
    """Numbered lines that are not blank; of one that is too long only the first part."""
    try:
        with open_bytes(file) as stream:
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                _skip_rest(stream, line)
                content = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
                if content.strip():
                    yield number, content
    except (EOFError, OSError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _skip_rest(stream: IO[bytes], line: bytes) -> None:
    while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
        line = stream.readline(MAX_LINE_BYTES + 1)


def _event(line: bytes, dialect: str | None) -> InteractionEvent:
    if len(line) > MAX_LINE_BYTES:
        raise InvalidEventError("line_too_long", f"accepted: lines up to {MAX_LINE_BYTES} bytes")
    event = normalise(_decode(line), _NO_TIME, dialect)
    if event.ts == _NO_TIME:
        raise InvalidEventError("missing_field", "ts is missing; an event in a file has one")
    return event


def _is_made(event: InteractionEvent) -> bool:
    return event.event_id.startswith("h-") and event.event_id == content_id(event)


def _decode(line: bytes) -> object:
    try:
        return msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        raise InvalidEventError("bad_utf8", str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidEventError("bad_json", str(error)) from error


def _rejected(line: Line, code: str) -> Row:
    number, content = line
    raw = content.decode("utf-8", "backslashreplace").rstrip("\r\n")
    if len(content) > MAX_LINE_BYTES:
        raw = raw[:MAX_LINE_SHOWN]
    if code == "personal_data" or looks_like_address(raw):
        raw = f'{{"line":{number},"withheld":"personal data"}}'  # quarantine is storage, too
    row = {**dict.fromkeys(SCHEMA), terms.ITEM_POSITION: 0, REJECT_REASON: code, RAW: raw}
    return tuple(row.values())


def event_rows(event: InteractionEvent) -> list[Row]:
    """One row per item, or one without an item, in the order of `SCHEMA`; times in microseconds."""
    return [
        (
            event.event_id,
            position,
            event.event_type,
            event.ts,
            event.ts,
            event.visitor_id,
            event.user_id,
            event.session_id,
            item.item_id or None,
            item.price,
            item.quantity,
            event.value,
            event.currency,
            event.transaction_id,
            item.category_path,
            item.item_brand,
            item.item_name,
            event.search_term,
            event.placement_of(item),
            event.recommendation_of(item),
            event.device,
            None,
            None,
        )
        for position, item in enumerate(event.items or (_NO_ITEM,))
    ]
