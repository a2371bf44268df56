"""Counting equal keys over batches, against the obvious way."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from feature_store.loaders.occurrence import OccurrenceCounter, row_text

BATCHES = st.lists(st.lists(st.integers(0, 12), max_size=30), max_size=12)


@given(batches=BATCHES)
def test_numbers_are_those_of_a_dictionary(batches: list[list[int]]) -> None:
    counter, counts = OccurrenceCounter(), Counter()
    for batch in batches:
        expected = []
        for key in batch:
            expected.append(counts[key])
            counts[key] += 1
        assert counter.number(np.array(batch, np.uint64)).tolist() == expected


@given(texts=st.lists(st.sampled_from("abc"), max_size=30), cut=st.integers(0, 30))
def test_ids_do_not_depend_on_the_batches(texts: list[str], cut: int) -> None:
    whole = OccurrenceCounter().row_ids(pl.Series(texts, dtype=pl.String)).to_list()
    counter = OccurrenceCounter()
    parts = [pl.Series(part, dtype=pl.String) for part in (texts[:cut], texts[cut:])]
    assert [name for part in parts for name in counter.row_ids(part).to_list()] == whole
    assert len(set(whole)) == len(texts)


def test_ids_are_stable_for_ever() -> None:
    """Ids are stored in tables: another value would double every row at the next ingest."""
    ids = OccurrenceCounter().row_ids(pl.Series(["a", "a"]))
    assert ids.to_list() == [
        "27c35e6e9373877f29e562464e46497e",
        "27c35e6e9373877f29e562464e46497e-1",
    ]


def test_null_and_empty_are_different_rows() -> None:
    frame = pl.DataFrame({"a": [None, "", "x"], "b": ["x", "x", None]})
    texts = frame.select(row_text("f", [pl.col("a"), pl.col("b")])).to_series()
    assert texts.n_unique() == 3


def test_many_batches_keep_few_runs() -> None:
    counter = OccurrenceCounter()
    rng = np.random.default_rng(1)
    for _ in range(200):
        counter.number(rng.integers(0, 2**63, 100, dtype=np.uint64))
    assert len(counter._seen) < 20
    assert sum(len(run) for run in counter._seen) == 20_000
