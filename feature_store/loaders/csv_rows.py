"""CSV as bounded source frames of text columns; a broken row costs that row only.

The file is cut into blocks at row ends and each block is parsed by polars. Where a block does not
parse, it is halved until the broken row stands alone. Blank lines are no rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import polars as pl

from feature_store.loaders.columns import LINE, REJECT_REASON, ROW, source_frame
from feature_store.loaders.files import list_files, open_bytes
from feature_store.loaders.options import LoadOptions
from recommender.errors import DataError

BLOCK_BYTES: Final = 8 << 20
MAX_HEADER_BYTES: Final = 1 << 16
MAX_LINE_SHOWN: Final = 2000
_OVERFLOW: Final = "\0overflow"

Header = tuple[str, ...]


def csv_frames(path: Path, options: LoadOptions, encoding: str = "utf-8") -> Iterator[pl.DataFrame]:
    """Source frames of a CSV file or folder, in file order; every field of `ROW` is text or null.

    Parameters
    ----------
    encoding
        Of rows that are not UTF-8. Left at UTF-8, such rows are rejected.

    Raises
    ------
    DataError
        For a file without a usable header, or a damaged ``.gz``.
    """
    for file in list_files(path, ".csv", ".csv.gz"):
        try:
            with open_bytes(file) as stream:
                header = _header(stream, file)
                for block in _blocks(stream):
                    for frame in _parse(block, header, encoding):
                        yield from frame.iter_slices(options.batch_rows)
        except (EOFError, OSError) as error:
            raise DataError(f"{file} cannot be read: {error}") from error


def require_columns(frame: pl.DataFrame, names: tuple[str, ...], path: Path) -> None:
    """Raise `DataError` unless a source frame has these columns."""
    present = _fields(frame)
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(present)}; "
            f"accepted: {', '.join(names)}"
        )


def _fields(frame: pl.DataFrame) -> list[str]:
    row = frame.schema[ROW]
    return [field.name for field in row.fields] if isinstance(row, pl.Struct) else []


def _header(stream: IO[bytes], file: Path) -> Header:
    line = stream.readline(MAX_HEADER_BYTES)
    try:
        names = next(csv.reader([line.decode("utf-8-sig")], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: the first line is no CSV header: {error}") from error
    if not names or len(set(names)) < len(names) or "" in names:
        raise DataError(f"{file}: the first line {line[:80]!r} does not name each column once")
    return tuple(names)


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while chunk := stream.read(BLOCK_BYTES):
        rest += chunk
        cut = _row_end_before(rest, len(rest))
        if not cut and len(rest) > 2 * BLOCK_BYTES:  # a quote that is never closed
            cut = rest.rfind(b"\n") + 1 or len(rest)
        if cut:
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _row_end_before(block: bytes, limit: int) -> int:
    """Length of the longest part of ``block[:limit]`` that ends with a row, or 0.

    A line end is a row end where the number of quotes before it is even (RFC 4180).
    """
    end = block.rfind(b"\n", 0, limit) + 1
    quotes = block.count(b'"', 0, end)
    while end and quotes % 2:
        before = block.rfind(b"\n", 0, end - 1) + 1
        quotes -= block.count(b'"', before, end)
        end = before
    return end


def _parse(block: bytes, header: Header, encoding: str) -> Iterator[pl.DataFrame]:
    pending = [block]
    while pending:
        part = pending.pop()
        text = _utf8(part, encoding)
        frame = None if text is None else _try_parse(text, header)
        if frame is not None:
            yield frame
            continue
        cut = _halfway(part)
        if cut == len(part):
            yield _broken(part, header, "bad_quoting" if text is not None else "bad_utf8")
        else:
            pending += [part[cut:], part[:cut]]


def _utf8(part: bytes, encoding: str) -> bytes | None:
    try:
        part.decode()
    except UnicodeDecodeError:
        if encoding == "utf-8":
            return None
        # Only a single row is decoded otherwise: its neighbours may be UTF-8.
        is_row = part.find(b"\n") in (-1, len(part) - 1)
        return part.decode(encoding, "replace").encode() if is_row else None
    return part


def _halfway(part: bytes) -> int:
    """Where to halve: at a row end if there is one, else after the first line."""
    cut = _row_end_before(part, len(part) // 2 + 1)
    if cut:
        return cut
    following = part.find(b"\n") + 1
    return following or len(part)


def _try_parse(text: bytes, header: Header) -> pl.DataFrame | None:
    try:
        rows = pl.read_csv(
            text,
            has_header=False,
            schema=dict.fromkeys((*header, _OVERFLOW), pl.String()),
            infer_schema=False,
            extra_columns="ignore",
            missing_columns="insert",
            raise_if_empty=False,
        )
    except pl.exceptions.ComputeError:
        return None
    rows = rows.filter(~pl.all_horizontal(pl.all().is_null()))
    too_many = pl.when(rows[_OVERFLOW].is_not_null()).then(pl.lit("too_many_fields"))
    return source_frame(rows.drop(_OVERFLOW)).with_columns(too_many.alias(REJECT_REASON))


def _broken(part: bytes, header: Header, reason: str) -> pl.DataFrame:
    shown = part.decode("utf-8", "backslashreplace")[:MAX_LINE_SHOWN]
    row = pl.Struct(dict.fromkeys(header, pl.String()))
    return pl.DataFrame(
        {ROW: [None], REJECT_REASON: [reason], LINE: [shown]},
        schema={ROW: row, REJECT_REASON: pl.String(), LINE: pl.String()},
    )
