"""Rows that an ingest refused, as JSON lines in the quarantine folder.

The file is whole or absent, and the same source gives the same bytes.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import TracebackType

import msgspec
import polars as pl

from feature_store.atomic_file import storage_error, sync_folder
from feature_store.loaders.columns import RAW, REJECT_REASON


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
        encode = msgspec.json.encode
        lines = [
            encode({"code": code, **self._about, "raw": raw}) + b"\n"
            for code, raw in rejects.select(REJECT_REASON, RAW).iter_rows()
        ]
        try:
            self._stream.writelines(lines)
        except OSError as error:
            raise storage_error(error, self._temporary) from error
        self.counts.update(rejects[REJECT_REASON].to_list())

    def add_rows(self, rows: pl.DataFrame, reason: str) -> None:
        """Take rows of the table that lost to others."""
        raw = rows.select(pl.struct(pl.all()).struct.json_encode().alias(RAW))
        self.add(raw.with_columns(pl.lit(reason).alias(REJECT_REASON)))

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
