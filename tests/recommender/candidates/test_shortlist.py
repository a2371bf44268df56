from __future__ import annotations

import math

import numpy as np
import pytest

from recommender.candidates.shortlist import ShortlistSource
from recommender.catalogue import Catalogue, CatalogueItem, catalogue_arrays
from recommender.seeds import NO_SEEDS
from tests.recommender.candidates.test_sources import seeds

ITEMS = [
    CatalogueItem("mug", category="kitchen", brand="acme", price=4.0),
    CatalogueItem("cup", category="kitchen", brand="zenith", price=4.0),
    CatalogueItem("lamp", category="living", brand="zenith", price=40.0),
    CatalogueItem("thing"),
]
CATALOGUE = Catalogue.from_arrays(catalogue_arrays(ITEMS, np.ones(4, np.float32)))
MUG, CUP, LAMP, THING = range(4)
EVERYTHING = np.ones(4, np.bool_)


def source(*scores: float) -> ShortlistSource:
    return ShortlistSource(CATALOGUE, np.arange(4, dtype=np.int32), np.float32(scores), 0.5)


def test_without_seeds_the_list_is_answered_as_it_is() -> None:
    found = source(1, 4, 2, 3).candidates(NO_SEEDS, EVERYTHING, 3)
    assert found.item_idx.tolist() == [CUP, THING, LAMP]
    assert found.scores.tolist() == [2.0, 1.5, 1.0]


def test_closeness_by_hand() -> None:
    """A seed of the mug: the cup shares category and price, the lamp nothing."""
    far = math.exp(-0.5 * (math.log(10) / 0.25) ** 2)
    found = source(1, 1, 1, 1).closeness(seeds([MUG]), np.arange(4, dtype=np.int32))
    assert found == pytest.approx([1, 2 / 3, far / 3, 0])


def test_seeds_share_the_attributes_by_their_weight() -> None:
    found = source(1, 1, 1, 1).closeness(seeds([MUG, LAMP], [3, 1]), np.int32([MUG, LAMP]))
    spread = math.log(10) * math.sqrt(3 / 16)
    price = [math.exp(-0.5 * (math.log(10) * part / spread) ** 2) for part in (1 / 4, 3 / 4)]
    assert found == pytest.approx([(3 / 4 + 3 / 4 + price[0]) / 3, (1 / 4 + 1 / 4 + price[1]) / 3])


def test_what_the_seeds_do_not_have_takes_no_part() -> None:
    found = source(1, 2, 3, 4)
    assert not found.closeness(seeds([THING]), np.arange(4, dtype=np.int32)).any()
    assert found.candidates(seeds([THING]), EVERYTHING, 4).item_idx.tolist() == [3, 2, 1, 0]


def test_what_is_close_comes_before_what_is_only_listed_higher() -> None:
    found = source(1.0, 1.0, 1.4, 1.4).candidates(seeds([MUG]), EVERYTHING, 4)
    assert found.item_idx.tolist() == [MUG, CUP, LAMP, THING]
