from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.affinity import SIGNS, AffinityParams, brand_affinity, brand_lookup
from recommender.errors import InvalidInputError
from recommender.query import Interaction
from recommender.terms import INTERACTION_TYPES
from tests.bundles import shop_bundle

DAY = 86_400_000_000
NOW = 20_000 * DAY
BRANDS = {"a": "Ast", "b": "Ast", "r": "Rau"}


def scores(*done: tuple[str, str, float], params: AffinityParams | None = None) -> dict[str, float]:
    rows = [Interaction(item, kind, NOW - round(days * DAY)) for item, kind, days in done]
    return brand_affinity(rows, BRANDS.get, NOW, params or AffinityParams())


def test_one_look_says_little_and_purchases_much() -> None:
    assert scores(("a", "view_item", 0))["Ast"] == pytest.approx(1 / 11)
    assert scores(("a", "purchase", 0), ("b", "purchase", 0))["Ast"] == pytest.approx(10 / 20)
    assert scores(("a", "purchase", 90))["Ast"] == pytest.approx(2.5 / 12.5)


def test_what_speaks_against_a_brand_lowers_it_below_nothing() -> None:
    assert scores(("a", "dismiss", 0))["Ast"] == pytest.approx(-3 / 13)
    given_back = scores(("a", "purchase", 0), ("a", "refund", 0))
    assert given_back["Ast"] == pytest.approx(-1 / 21)
    taken_out = scores(("a", "add_to_cart", 0), ("a", "remove_from_cart", 0))
    assert taken_out["Ast"] == 0


def test_the_strongest_come_first_whatever_their_sign() -> None:
    found = scores(("a", "view_item", 0), ("r", "dismiss", 0))
    assert list(found) == ["Rau", "Ast"]


def test_items_without_a_brand_and_events_without_a_sign_say_nothing() -> None:
    assert scores(("x", "purchase", 0), ("a", "review", 0)) == {}


def test_parameters_are_obeyed_and_checked() -> None:
    fast = AffinityParams(half_life_days=1, prior=1, signs={"review": -2.0})
    assert scores(("a", "review", 1), params=fast)["Ast"] == pytest.approx(-1 / 2)
    with pytest.raises(InvalidInputError, match="accepted: above 0"):
        AffinityParams(prior=0)


def test_the_brand_of_an_item_is_that_of_the_catalogue() -> None:
    brand_of = brand_lookup(shop_bundle().catalogue)
    assert [brand_of(item) for item in ("item-00", "item-12", "gone")] == ["acme", "zenith", None]


rows = st.lists(
    st.builds(
        Interaction,
        st.sampled_from("abrx"),
        st.sampled_from(INTERACTION_TYPES),
        st.integers(NOW - 900 * DAY, NOW + 90 * DAY),
    ),
    max_size=25,
)


@given(rows, st.randoms(use_true_random=False))
def test_bounded_in_any_order_and_blind_to_the_future(
    done: list[Interaction], rng: random.Random
) -> None:
    found = brand_affinity(done, BRANDS.get, NOW)
    assert all(-1 < score < 1 for score in found.values())
    known = [each for each in rng.sample(done, len(done)) if each.ts <= NOW]
    assert brand_affinity(known, BRANDS.get, NOW) == found


@given(rows, st.sampled_from(sorted(SIGNS)))
def test_every_event_moves_the_score_its_own_way(done: list[Interaction], kind: str) -> None:
    before = brand_affinity(done, BRANDS.get, NOW).get("Ast", 0.0)
    after = brand_affinity([*done, Interaction("a", kind, NOW)], BRANDS.get, NOW)["Ast"]
    assert (after > before) == (SIGNS[kind] > 0)
