"""Sources learnt from single events: what there is of them, and that the future changes nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from feature_store.catalogue import read_catalogue
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.terms import MICROS_PER_SECOND, PURCHASE
from tests.training.tiny_log import BEGIN, tiny_spec, visits, write_log
from training.dataset import build_dataset
from training.engines.local import LocalEngine
from training.fitting import Fitted, Fitting
from training.known_events import known_events

CUT = BEGIN + timedelta(days=45)
MICROS = round(CUT.timestamp() * MICROS_PER_SECOND)
SPEC = tiny_spec(
    early_adopters={"window_days": 5, "min_adoptions": 2},
    trend={"sigmas": 0},
    buy_again={"min_repeats": 1},
)
OURS = ("trend", "new_items", "early_adopters", "content", "buy_again")


def rows() -> pl.DataFrame:
    """The checkerboard shop; one item comes late, and some things are bought again."""
    log = visits()
    late = log.filter(pl.col("ts") > CUT - timedelta(days=5)).head(20)
    late = late.with_columns(item_id=pl.lit("item-new"), title=pl.lit("Thing new"))
    again = log.filter(pl.col("event_type") == PURCHASE).head(40)
    again = again.with_columns(
        ts=pl.col("ts") + timedelta(days=8), transaction_id=pl.col("transaction_id") + "-again"
    )
    return pl.concat([log, late, again]).sort("ts", "visitor_id", maintain_order=True)


def fitting(frame: pl.DataFrame, folder: Path) -> Fitting:
    folder.mkdir()
    layout = StoreLayout(folder / "store")
    ingest(write_log(folder / "log.parquet", frame), "desirepath-parquet", layout)
    window = LocalEngine().ingest_window(layout, SPEC, None, folder)
    return Fitting(LocalEngine(), window, read_catalogue(layout), SPEC, folder)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return fitting(rows(), tmp_path_factory.mktemp("log") / "all").fit(MICROS)


def test_every_source_is_there_with_arrays_that_a_bundle_takes(fitted: Fitted) -> None:
    assert set(OURS) <= set(fitted.info.sources)
    bundle = fitted.bundle()
    new = bundle.catalogue.ids.index("item-new")
    assert new in fitted.arrays["shortlist_new_items_items"]


def test_no_array_is_about_shoppers(fitted: Fitted) -> None:
    items = len(fitted.bundle().catalogue)
    for name, array in fitted.arrays.items():
        if name.startswith(("shortlist", "repeat", "interval")):
            assert len(array) <= items
    text = b"".join(np.ascontiguousarray(array).tobytes() for array in fitted.arrays.values())
    assert b"visitor-" not in text


def test_events_after_the_cut_change_nothing(fitted: Fitted, tmp_path: Path) -> None:
    """Neither more of them, nor none at all."""
    everything = rows()
    later = everything.filter(pl.col("ts") >= CUT)
    doubled = later.with_columns(
        ts=pl.col("ts") + timedelta(days=10),
        transaction_id=pl.col("transaction_id") + "-more",
    )
    before = everything.filter(pl.col("ts") < CUT)
    for name, frame in (("more", pl.concat([everything, doubled])), ("none", before)):
        found = fitting(frame, tmp_path / name).fit(MICROS)
        assert found.info.sources == fitted.info.sources
        for array in (
            a for a in fitted.arrays if a.startswith(("shortlist", "repeat", "interval"))
        ):
            assert found.arrays[array].tobytes() == fitted.arrays[array].tobytes(), (name, array)


def test_known_events_end_at_the_cut_by_both_clocks(tmp_path: Path) -> None:
    parts = fitting(rows(), tmp_path / "log")
    dataset = build_dataset(
        parts.engine, parts.window, parts.catalogue, SPEC, MICROS, parts.workspace
    )
    events = known_events(parts.window, dataset)
    assert 0 < len(events) < parts.window.counts["kept"]
    assert events.ts.max() < MICROS
    assert events.item_idx.min() >= 0
    assert events.items == len(dataset.items)


def test_sources_without_data_are_left_out(tmp_path: Path) -> None:
    """A shop that sells nothing twice, knows nothing of its items, and is as it always was."""
    plain = visits(20).with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in ("title", "category", "brand")),
        price=pl.lit(None, pl.Float64),
    )
    quiet = plain.filter(pl.col("event_type") != PURCHASE)
    found = fitting(quiet, tmp_path / "quiet").fit(MICROS)
    assert "buy_again" not in found.info.sources
    assert "content" not in found.info.sources
    found.bundle()
