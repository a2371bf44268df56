"""Rows that an ingest refused, as JSON lines in the quarantine folder.

The file is whole or absent, and the same source gives the same bytes. Of a row with personal data
only the reason is kept.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec
import polars as pl

from feature_store.atomic_file import storage_error, sync_folder
from feature_store.loaders.columns import RAW, REJECT_REASON
from feature_store.personal_data import looks_like_address, refuse_personal_names
from recommender.errors import InvalidEventError

_ENCODE = msgspec.json.Encoder().encode
# Only texts with one of these are looked at closely: a file may have a million rejects.
_SUSPECT: Final = "(?i)@|%40|mail|phone|tel|msisdn"


class RejectFile:
    """Collects rejects; `commit` puts the file in place, or removes an older one.

    Parameters
    ----------
    folder
        Where the file is to be.
    source, source_format
        In every line, so that a replay knows how to read `raw`.
    """

    def __init__(self, folder: Path, source: str, source_format: str) -> None:
        self.counts: Counter[str] = Counter()
        self._about = {"source": source, "format": source_format}
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = folder / f"tmp-{os.getpid()}-ingest.jsonl"
        self._stream = self._temporary.open("wb")

    def __enter__(self) -> RejectFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, rejects: pl.DataFrame) -> None:
        """Take ``reject_reason, raw``."""
        if rejects.is_empty():
            return
        suspect = rejects[RAW].str.contains(_SUSPECT).fill_null(value=False)
        rows = zip(rejects[REJECT_REASON], rejects[RAW], suspect, strict=True)
        lines = [self._line(code, raw, is_suspect) for code, raw, is_suspect in rows]
        try:
            self._stream.writelines(lines)
        except OSError as error:
            raise storage_error(error, self._temporary) from error
        self.counts.update(rejects[REJECT_REASON].to_list())

    def add_rows(self, rows: pl.DataFrame, reason: str) -> None:
        """Take rows of the table that lost to others."""
        raw = rows.select(pl.struct(pl.all()).struct.json_encode().alias(RAW))
        self.add(raw.with_columns(pl.lit(reason).alias(REJECT_REASON)))

    def _line(self, code: str, raw: str, is_suspect: bool) -> bytes:  # noqa: FBT001 - a row's field
        withheld = is_suspect and _is_personal(raw)
        kept = {"withheld": True} if withheld else {"raw": raw}
        return _ENCODE({"code": code, **self._about, **kept}) + b"\n"

    def commit(self, name: str) -> Path | None:
        """Make the file durable under `name`; its path, or None when nothing was rejected."""
        path = self._folder / name
        if not self.counts:
            path.unlink(missing_ok=True)
            return None
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._temporary.replace(path)
        sync_folder(self._folder)
        return path


def _is_personal(raw: str) -> bool:
    """Whether a row holds an email address or a field named like personal data."""
    if looks_like_address(raw):
        return True
    try:
        refuse_personal_names(msgspec.json.decode(raw))
    except InvalidEventError:
        return True
    except (msgspec.DecodeError, RecursionError):
        return False
    return False
