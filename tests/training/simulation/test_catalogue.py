from __future__ import annotations

import numpy as np
import pytest

from recommender.errors import InvalidInputError
from training.simulation.catalogue import SUBSTITUTE_PRICE_RATIO, CatalogueSpec, build_catalogue


@pytest.fixture(scope="module")
def catalogue():
    return build_catalogue(CatalogueSpec(items=1800), 30, np.random.default_rng(1))


def test_ids_and_titles_are_unique_and_readable(catalogue) -> None:
    assert len(set(catalogue.item_ids)) == len(set(catalogue.titles)) == 1800
    for item in range(0, 1800, 90):
        assert catalogue.leaves[catalogue.leaf[item]].noun in catalogue.titles[item]
        assert catalogue.brand_names[catalogue.brand[item]] in catalogue.titles[item]


def test_every_leaf_has_items_and_three_levels(catalogue) -> None:
    assert np.bincount(catalogue.leaf, minlength=len(catalogue.leaves)).min() >= 3
    assert {leaf.path.count("/") for leaf in catalogue.leaves} == {2}


def test_leaves_of_one_section_are_of_one_department(catalogue) -> None:
    pairs = set(zip(catalogue.section.tolist(), catalogue.department.tolist(), strict=True))
    assert len(pairs) == len(set(catalogue.section.tolist()))


def test_popularity_is_skewed_and_sums_to_one(catalogue) -> None:
    ordered = np.sort(catalogue.appeal)[::-1]
    assert ordered.sum() == pytest.approx(1.0)
    # Zipf with exponent 0.4: the item of rank 100 has 100^-0.4 of the first one's popularity.
    assert ordered[99] / ordered[0] == pytest.approx(100**-0.4)


def test_complements_work_in_both_directions_and_across_leaves(catalogue) -> None:
    assert np.array_equal(catalogue.goes_with, catalogue.goes_with.T)
    assert not catalogue.goes_with.diagonal().any()
    item = int(np.flatnonzero(catalogue.goes_with.any(axis=1)[catalogue.leaf])[0])
    other = int(catalogue.complements(item)[0])
    assert catalogue.leaf[other] != catalogue.leaf[item]
    assert item in catalogue.complements(other)


def test_substitutes_are_of_the_same_leaf_at_a_near_price(catalogue) -> None:
    found = 0
    for item in range(0, 1800, 30):
        others = catalogue.substitutes(item)
        found += len(others)
        assert item not in others
        assert (catalogue.leaf[others] == catalogue.leaf[item]).all()
        ratio = catalogue.price[others] / catalogue.price[item]
        assert (np.maximum(ratio, 1.0 / ratio) <= SUBSTITUTE_PRICE_RATIO * 1.0001).all()
    assert found > 100


def test_a_year_of_season_has_mean_one_and_a_peak(catalogue) -> None:
    assert catalogue.season[:, 1:].mean(axis=1) == pytest.approx(1.0)
    paths = [leaf.path for leaf in catalogue.leaves]
    barbecue = catalogue.season[paths.index("garden/outdoor/barbecues")]
    assert int(np.argmax(barbecue[1:])) + 1 == 6
    assert barbecue[12] < 0.2
    assert barbecue[6] > 1.8


def test_items_of_one_brand_have_similar_styles(catalogue) -> None:
    alike = catalogue.style @ catalogue.style.T
    same = catalogue.brand[:, None] == catalogue.brand[None, :]
    np.fill_diagonal(same, val=False)
    assert alike[same].mean() > 0.5
    assert abs(alike[~same].mean()) < 0.1


def test_the_same_seed_gives_the_same_catalogue() -> None:
    first, second = (
        build_catalogue(CatalogueSpec(items=100), 30, np.random.default_rng(9)) for _ in range(2)
    )
    assert first.titles == second.titles
    assert np.array_equal(first.style, second.style)


def test_some_items_come_later_and_all_within_the_run(catalogue) -> None:
    assert 0.05 < (catalogue.arrival_day > 0).mean() < 0.15
    assert catalogue.arrival_day.max() < 30


def test_a_catalogue_too_small_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="items=19"):
        CatalogueSpec(items=19)


def test_the_smallest_catalogue_works() -> None:
    assert len(build_catalogue(CatalogueSpec(items=20), 1, np.random.default_rng(0))) == 20


def test_the_catalogue_does_not_depend_on_the_length_of_the_run() -> None:
    short, long = (
        build_catalogue(CatalogueSpec(items=200), days, np.random.default_rng(9))
        for days in (2, 60)
    )
    assert short.item_ids == long.item_ids
    assert short.titles == long.titles
    assert np.array_equal(short.style, long.style)
    assert np.array_equal(short.price, long.price)
