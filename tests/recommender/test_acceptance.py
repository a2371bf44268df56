from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.acceptance import (
    NAMES,
    OFFSETS,
    TABLE,
    Acceptance,
    acceptance_arrays,
    at_place,
    at_places,
    build_acceptance,
)
from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.errors import BundleError
from recommender.ids import StringArray
from recommender.pipeline import recommend
from recommender.placements import read_placements
from recommender.policy import TopPolicy
from recommender.query import Query
from tests.bundles import AT, shop_arrays, shop_bundle, shop_info

CURVES = Acceptance({"": (0.2, 0.1), "home": (0.5, 0.25), "z": (0.3, 0.3)})

rates = st.integers(1, 5).flatmap(
    lambda places: st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name.isprintable()),
        st.lists(st.floats(2**-19, 1, width=32), min_size=places, max_size=places),
        max_size=4,
    ).map(lambda rows: {"": [0.5] * places} | rows)
)


@given(rates)
def test_a_table_survives_its_arrays(rows: dict[str, list[float]]) -> None:
    curves = Acceptance({name: tuple(sorted(row, reverse=True)) for name, row in rows.items()})
    assert build_acceptance(acceptance_arrays(curves)) == curves


def test_a_place_is_looked_up() -> None:
    assert CURVES.curve("home") == (0.5, 0.25)
    assert CURVES.curve("never heard of") == (0.2, 0.1)
    assert [at_place(CURVES.curve("home"), place) for place in (0, 1, 2, 99)] == [
        0.5,
        0.25,
        0.25,
        0.25,
    ]
    assert at_places(CURVES.curve("home"), 4) == (0.5, 0.25, 0.25, 0.25)
    assert at_places(CURVES.curve("home"), 1) == (0.5,)
    assert at_place((), 3) is None
    assert at_places((), 2) == (None, None)
    assert CURVES.total("home", 0) == 0
    assert CURVES.total("home", 4) == pytest.approx(0.5 + 3 * 0.25)


def with_arrays(arrays: dict[str, np.ndarray]) -> ModelBundle:
    return bundle_of(shop_arrays() | arrays, BundleManifest.describe(shop_info(), {}))


def with_table(**changes: np.ndarray) -> ModelBundle:
    return with_arrays(acceptance_arrays(CURVES) | changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({TABLE: np.array([[0.1, 0.2]] * 3, np.float32)}, "rises along a list"),
        ({TABLE: np.zeros((3, 2), np.float32)}, "above 0"),
        ({TABLE: np.full((3, 2), 1.5, np.float32)}, "at most 1"),
        ({TABLE: np.zeros((3, 0), np.float32)}, "at least one column"),
        ({TABLE: np.full((2, 2), 0.5, np.float32)}, "dimension"),
        ({TABLE: np.full((3, 2), 0.5, np.float64)}, "dtype"),
    ],
)
def test_a_table_that_cannot_be_is_refused(changes: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(BundleError, match=says):
        with_table(**changes)


@pytest.mark.parametrize("names", [["a", "b", "c"], ["", "b", "b"]])
def test_names_that_cannot_be_are_refused(names: list[str]) -> None:
    packed = StringArray.from_strings(names)
    with pytest.raises(BundleError, match="distinct, the first one empty"):
        with_table(**{NAMES: packed.data, OFFSETS: packed.offsets})


def test_a_table_without_its_names_is_refused() -> None:
    with pytest.raises(BundleError, match="belong together"):
        with_arrays({TABLE: acceptance_arrays(CURVES)[TABLE]})


def test_every_item_of_a_slate_has_its_promise() -> None:
    query = Query(at=AT, placement="home", limit=4)
    place = read_placements()["home"]
    slate = recommend(query, with_table(), place, TopPolicy())
    assert [item.acceptance for item in slate.items] == [0.5, 0.25, 0.25, 0.25]
    bare = recommend(query, shop_bundle(), place, TopPolicy())
    assert [item.acceptance for item in bare.items] == [None] * 4
    assert [item.item_id for item in bare.items] == [item.item_id for item in slate.items]
