from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from feature_store.runs import begins_run

values = st.one_of(st.none(), st.integers(0, 2))


@given(st.lists(st.tuples(values, values), max_size=30))
def test_a_run_begins_where_a_row_is_not_as_the_one_before(
    rows: list[tuple[int | None, int | None]],
) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
    found = frame.select(begins_run("a", "b")).to_series().to_list()
    assert found == [not place or row != rows[place - 1] for place, row in enumerate(rows)]


@given(st.lists(st.tuples(values, values), max_size=30))
def test_of_rows_in_order_the_first_of_each_is_kept(
    rows: list[tuple[int | None, int | None]],
) -> None:
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
    frame = frame.with_row_index().sort("a", "b", maintain_order=True)
    kept = frame.lazy().filter(begins_run("a", "b")).collect()
    assert kept.equals(frame.unique(["a", "b"], keep="first", maintain_order=True))
