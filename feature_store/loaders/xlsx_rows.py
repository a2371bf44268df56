"""Excel workbooks as bounded source frames of text columns, sheet by sheet.

The format cannot be streamed: a sheet is held in memory. Two sheets of the same shop may overlap
in time (the published workbook repeats nine days), so a later sheet's rows of a key that an earlier
sheet had already are rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from feature_store.loaders.columns import REJECT_REASON, source, source_frame
from feature_store.loaders.files import list_files
from feature_store.loaders.options import LoadOptions
from recommender.errors import DataError


def xlsx_frames(path: Path, options: LoadOptions, key: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """Source frames of a workbook or a folder of them.

    Parameters
    ----------
    key
        Spellings of the column that tells whether sheets overlap.

    Raises
    ------
    DataError
        For a file that is no workbook.
    """
    for file in list_files(path, ".xlsx", ".xls"):
        seen = pl.Series("key", [], pl.String())
        for sheet in _sheets(file):
            frame = source_frame(sheet)
            name = next((name for name in key if name in sheet.columns), None)
            if name is not None:
                overlaps = source(name).is_in(seen.implode())
                reason = pl.when(overlaps).then(pl.lit("sheet_overlap"))
                frame = frame.with_columns(pl.coalesce(reason, REJECT_REASON).alias(REJECT_REASON))
                seen = pl.concat([seen, sheet[name].drop_nulls().unique().alias("key")])
            yield from frame.iter_slices(options.batch_rows)


def _sheets(file: Path) -> Iterator[pl.DataFrame]:
    try:
        sheets = pl.read_excel(
            file, sheet_id=0, read_options={"dtypes": "string"}, raise_if_empty=False
        )
    except Exception as error:  # the reader's errors share no base below Exception
        raise DataError(f"{file} cannot be read as a workbook: {error}") from error
    yield from (sheet for sheet in sheets.values() if sheet.width)
