from __future__ import annotations

from pathlib import Path

import polars as pl

from recommender.terms import SEARCH, VIEW_ITEM
from tests.factories import DAY, MINUTE, SECOND, START, Did, write_log
from training.engine import EventWindow
from training.engines.local import LocalEngine
from training.engines.local_searches import MAX_TERM_CHARACTERS
from training.spec import TrainingSpec


def window(root: Path, done: list[Did], as_of: int | None = None) -> EventWindow:
    root.mkdir()
    return LocalEngine().ingest_window(write_log(root / "store", done), TrainingSpec(), as_of, root)


def search(who: str, term: str | None, ts: int, available_at: int | None = None) -> Did:
    return Did(who, None, ts, SEARCH, available_at=available_at, search_term=term)


def rows(found: EventWindow) -> list[tuple[str, int, str]]:
    assert found.searches is not None
    frame = pl.read_parquet(found.searches)
    columns = frame.select("shopper_idx", "ts", "term").iter_rows()
    return [(found.shopper_ids[shopper], ts, term) for shopper, ts, term in columns]


LOG = [
    Did("ann", "x", START + MINUTE, VIEW_ITEM),
    Did("bob", "y", START + MINUTE, VIEW_ITEM),
    search("bob", "  Garden   HOSE ", START),
    search("ann", "spade", START + SECOND),
    search("ann", "spade", START + 2 * DAY),
    search("ann", "   ", START),
    search("ann", None, START),
    search("ann", "x" * (MAX_TERM_CHARACTERS + 1), START),
    search("a stranger without any item", "knife", START),
]


def test_terms_have_one_spelling_and_searches_are_in_order(tmp_path: Path) -> None:
    assert rows(window(tmp_path / "all", LOG)) == [
        ("ann", START + SECOND, "spade"),
        ("ann", START + 2 * DAY, "spade"),
        ("bob", START, "garden hose"),
    ]


def test_what_came_later_is_not_there(tmp_path: Path) -> None:
    late = search("bob", "rake", START, available_at=START + 3 * DAY)
    found = window(tmp_path / "cut", [*LOG, late], as_of=START + DAY)
    assert [term for _, _, term in rows(found)] == ["spade", "garden hose"]


def test_searches_are_part_of_the_digest(tmp_path: Path) -> None:
    fewer = [each for each in LOG if each.search_term != "spade"]
    one, other = (window(tmp_path / name, log) for name, log in (("a", LOG), ("b", fewer)))
    assert one.digest != other.digest
    assert one.digest == window(tmp_path / "c", LOG[::-1]).digest
