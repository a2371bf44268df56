"""Parquet as bounded source frames, in file order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from feature_store.loaders.columns import source_frame
from feature_store.loaders.files import list_files
from feature_store.loaders.options import LoadOptions
from recommender.errors import DataError


def parquet_frames(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Source frames of a Parquet file or folder; fields keep their types.

    Raises
    ------
    DataError
        For a file that is not Parquet, or damaged: Parquet has no rows that could be told apart
        then.
    """
    for file in list_files(path, ".parquet"):
        try:
            scanned = pl.scan_parquet(file, glob=False, hive_partitioning=False)
            for rows in scanned.collect_batches(chunk_size=options.batch_rows):
                yield from map(source_frame, rows.iter_slices(options.batch_rows))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{file} cannot be read as Parquet: {error}") from error
