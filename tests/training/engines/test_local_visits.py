from __future__ import annotations

from pathlib import Path

import polars as pl

from recommender.terms import ADD_TO_CART, PURCHASE, REFUND, SEARCH, VIEW_ITEM, VIEW_ITEM_LIST
from tests.factories import DAY, HOUR, MINUTE, START, Did, write_log
from training.engine import Period
from training.engines.local import LocalEngine
from training.spec import TrainingSpec

CUT = START + 5 * DAY
END = START + 10 * DAY
LOG = [
    Did("ann", "a", CUT - 10 * MINUTE),
    Did("ann", "b", CUT + 10 * MINUTE),  # of a visit that was under way at the cut
    Did("ann", None, CUT + DAY, SEARCH),
    Did("ann", "b", CUT + DAY + MINUTE),
    Did("ann", "b", CUT + DAY + 32 * MINUTE, ADD_TO_CART),
    Did("ann", "b", CUT + DAY + 70 * MINUTE, PURCHASE),
    Did("ann", "b", CUT + 2 * DAY, REFUND),
    Did("bob", "a", CUT, VIEW_ITEM_LIST),
    Did("bob", "a", CUT + 3 * HOUR),
    Did("cleo", None, CUT + HOUR, SEARCH),
    Did("dave", "a", END - 1),
]


def visits(root: Path, done: list[Did], as_of: int | None = END) -> list[tuple[object, ...]]:
    root.mkdir(parents=True, exist_ok=True)
    engine, spec, layout = LocalEngine(), TrainingSpec(), write_log(root / "store", done)
    window = engine.ingest_window(layout, spec, as_of, root)
    path = engine.visits(layout, window, spec, Period(CUT, window.period.end), root)
    found = pl.read_parquet(path)
    ids = dict(enumerate(window.shopper_ids))
    for index, shopper in found.select("shopper_idx", "shopper_id").iter_rows():
        assert index is None or ids[index] == shopper
    return found.drop("shopper_idx", "entry_placement").rows()


def test_a_visit_is_a_run_of_events_of_any_type(tmp_path: Path) -> None:
    assert visits(tmp_path, LOG) == [
        ("ann", CUT + DAY, CUT + DAY + MINUTE, SEARCH, True),
        ("ann", CUT + DAY + 32 * MINUTE, CUT + DAY + 32 * MINUTE, ADD_TO_CART, True),
        ("ann", CUT + DAY + 70 * MINUTE, CUT + DAY + 70 * MINUTE, PURCHASE, True),
        ("bob", CUT, CUT, VIEW_ITEM_LIST, False),
        ("bob", CUT + 3 * HOUR, CUT + 3 * HOUR, VIEW_ITEM, True),
        ("cleo", CUT + HOUR, CUT + HOUR, SEARCH, False),
        ("dave", END - 1, END - 1, VIEW_ITEM, False),
    ]


def test_nothing_after_the_window_or_arrived_after_it_is_seen(tmp_path: Path) -> None:
    late = [
        Did("ann", "c", CUT + DAY + 2 * MINUTE, available_at=END),
        Did("eve", "a", END),
        Did("cleo", "a", END + DAY),
    ]
    assert visits(tmp_path / "more", LOG + late) == visits(tmp_path / "less", LOG)


def test_a_shopper_without_an_item_has_no_number(tmp_path: Path) -> None:
    engine, spec, layout = LocalEngine(), TrainingSpec(), write_log(tmp_path / "store", LOG)
    window = engine.ingest_window(layout, spec, END, tmp_path)
    found = pl.read_parquet(engine.visits(layout, window, spec, Period(CUT, END), tmp_path)).filter(
        pl.col("shopper_id") == "cleo"
    )
    assert found["shopper_idx"].to_list() == [None]
    assert found.schema["shopper_idx"] == pl.Int32
    assert found.schema["entry_placement"] == pl.String
    assert VIEW_ITEM not in found["entry"].to_list()
