from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import sparse

from recommender.catalogue import CatalogueItem
from training.models.content import content_neighbours, describe
from training.sections import ContentSpec

PLAIN = ContentSpec(max_share=1, cold_boost=0)


def shop() -> list[CatalogueItem]:
    """Mugs and lamps in two colours; the last lamp has no title."""
    return [
        CatalogueItem("a", "Red mug", "kitchen/mugs", "acme", 4.0),
        CatalogueItem("b", "Blue mug", "kitchen/mugs", "acme", 4.1),
        CatalogueItem("c", "Red lamp", "living/lamps", "zenith", 40.0),
        CatalogueItem("d", "Blue lamp", "living/lamps", "zenith", 42.0),
        CatalogueItem("e", "", "living/lamps", "zenith", 41.0),
    ]


def nearest(spec: ContentSpec, support: Sequence[float] = (9,) * 5) -> list[int]:
    lists = content_neighbours(shop(), np.array(support, np.float64), spec)
    return lists.idx[:, 0].tolist()


def test_a_mug_is_next_to_a_mug_and_a_lamp_to_a_lamp() -> None:
    assert nearest(PLAIN)[:2] == [1, 0]
    assert set(nearest(PLAIN)[2:]) <= {2, 3, 4}


def test_each_attribute_counts_by_its_weight() -> None:
    only_text = ContentSpec(max_share=1, cold_boost=0, category=0, brand=0, price=0)
    similarity = describe(shop(), only_text)
    product = (similarity @ similarity.T).toarray()
    # "red" and "mug" occur in two of five items each: equally rare, so the cosine is one half.
    assert product[0, 1] == pytest.approx(0.5)
    assert product[0, 2] == pytest.approx(0.5)
    assert product[0, 3] == 0
    assert not product[4].any()
    doubled = describe(shop(), ContentSpec(max_share=1, text=2, category=0, brand=0, price=0))
    assert (doubled @ doubled.T).toarray() == pytest.approx(2 * product)


def test_words_that_half_of_the_shop_has_say_nothing() -> None:
    spec = ContentSpec(max_share=0.3, category=0, brand=0, price=0)
    assert describe(shop(), spec).nnz == 0


def test_what_few_have_met_comes_first_among_equals() -> None:
    items = [CatalogueItem(name, "Red mug") for name in "abc"]
    support = np.array([9.0, 9.0, 0.0])
    spec = ContentSpec(max_share=1)
    assert content_neighbours(items, support, spec).idx[0].tolist() == [2, 1]
    assert content_neighbours(items, support, PLAIN).idx[0].tolist() == [1, 2]


def test_a_price_nearby_counts_among_items_that_are_alike() -> None:
    items = [
        CatalogueItem("a", "Red mug", price=4.0),
        CatalogueItem("b", "Red mug", price=40.0),
        CatalogueItem("c", "Red mug", price=4.4),
        CatalogueItem("d", "Red mug"),
        CatalogueItem("e", "Lamp", price=4.0),
    ]
    spec = ContentSpec(max_share=1, cold_boost=0, price=0.5)
    lists = content_neighbours(items, np.full(5, 9.0), spec)
    near = 0.5 * np.exp(-0.5 * (np.log(1.1) / 0.35) ** 2)
    assert lists.idx[0].tolist() == [2, 1, 3]
    assert lists.weight[0] == pytest.approx([1 + near, 1, 1], abs=1e-6)
    assert (lists.idx[4] == -1).all()


def test_what_too_many_items_share_does_not_take_part() -> None:
    spec = ContentSpec(max_share=1, max_items=2, brand=0, price=0, cold_boost=0)
    # Three items are lamps: the word and the category are out, "red" and "blue" are in.
    lists = content_neighbours([*shop(), CatalogueItem("f", "lamp")], np.full(6, 9.0), spec)
    assert (lists.idx[5] == -1).all()
    assert lists.idx[2, 0] == 0


def test_another_embedding_takes_the_place_of_ours() -> None:
    def embedding(items: Sequence[CatalogueItem]) -> sparse.csr_array:
        assert len(items) == 5
        return sparse.csr_array(np.array([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 1]]))

    lists = content_neighbours(shop(), np.full(5, 9.0), PLAIN, embedding)
    assert lists.idx[0].tolist()[:2] == [2, 4]


def test_a_catalogue_without_facts_has_no_neighbours() -> None:
    items = [CatalogueItem(name) for name in "abc"]
    lists = content_neighbours(items, np.zeros(3), PLAIN)
    assert (lists.idx == -1).all()


def test_equal_input_gives_equal_bytes() -> None:
    one, two = (content_neighbours(shop(), np.arange(5.0), ContentSpec()) for _ in range(2))
    assert one.idx.tobytes() == two.idx.tobytes()
    assert one.weight.tobytes() == two.weight.tobytes()
