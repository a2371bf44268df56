from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_store.catalogue import read_catalogue
from recommender.errors import DataError
from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM_LIST
from tests.factories import DAY, HOUR, START, Did, write_log
from training.dataset import Dataset, build_dataset, moment
from training.engines.local import LocalEngine
from training.spec import TrainingSpec, parse_spec

ENGINE = LocalEngine()
SPEC = parse_spec({"popularity": {"half_life_days": 1}, "seeds": {"half_life_days": 2}})


def dataset(root: Path, done: list[Did], until: int, spec: TrainingSpec = SPEC) -> Dataset:
    layout = write_log(root / "store", done)
    window = ENGINE.ingest_window(layout, spec, None, root)
    return build_dataset(ENGINE, window, read_catalogue(layout), spec, until, root)


LOG = [
    Did("ann", "a", START, price=10.0, category="toys/wood"),
    Did("ann", "b", START + DAY, ADD_TO_CART, price=5.0),
    Did("bob", "a", START + DAY, PURCHASE, price=12.0),
    Did("cleo", "c", START + 3 * DAY, price=99.0),
    Did("ann", "a", START + 3 * DAY, PURCHASE, price=20.0),
]


def test_items_shoppers_and_weights_of_the_future_do_not_exist(tmp_path: Path) -> None:
    found = dataset(tmp_path, LOG, START + 2 * DAY)
    assert [item.item_id for item in found.items] == ["a", "b"]
    assert found.user_items.shape == (2, 2)
    # view a: 1 after two days, cart b: 3 after one, purchase a: 5 after one; half-life two days.
    assert found.user_items.toarray() == pytest.approx(
        np.array([[1 / 2, 3 / 2**0.5], [5 / 2**0.5, 0]])
    )
    # The same with a half-life of one day, over all shoppers.
    assert found.popularity.tolist() == pytest.approx([1 / 4 + 5 / 2, 3 / 2])


def test_prices_are_those_known_then(tmp_path: Path) -> None:
    assert [item.price for item in dataset(tmp_path / "1", LOG, START + 2 * DAY).items] == [12, 5]
    assert [item.price for item in dataset(tmp_path / "2", LOG, START + HOUR).items] == [10]


def test_at_the_end_of_the_log_the_catalogue_holds(tmp_path: Path) -> None:
    found = dataset(tmp_path, LOG, START + 4 * DAY)
    assert [(item.item_id, item.price) for item in found.items] == [("a", 20), ("b", 5), ("c", 99)]
    assert found.items[0].category == "toys/wood"


def test_an_item_that_was_only_shown_is_in_the_catalogue_and_weighs_nothing(
    tmp_path: Path,
) -> None:
    shown = Did("ann", "quiet", START + HOUR, VIEW_ITEM_LIST)
    found = dataset(tmp_path, [*LOG, shown], START + 2 * DAY)
    assert [item.item_id for item in found.items] == ["a", "b", "quiet"]
    assert found.popularity[2] == 0
    assert found.user_items.shape == (2, 3)


def test_an_event_that_arrived_late_was_not_known(tmp_path: Path) -> None:
    late = Did("dan", "b", START + HOUR, PURCHASE, available_at=START + 3 * DAY)
    before = dataset(tmp_path / "1", LOG, START + 2 * DAY)
    after = dataset(tmp_path / "2", [*LOG, late], START + 2 * DAY)
    assert after.popularity.tolist() == before.popularity.tolist()
    assert after.user_items.shape == before.user_items.shape


def test_a_moment_before_the_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no interaction before 2026-01-01T00:00:00"):
        dataset(tmp_path, LOG, START)


def test_moments_are_exact() -> None:
    assert moment(START + 1).isoformat() == "2026-01-01T00:00:00.000001+00:00"
