from __future__ import annotations

import numpy as np
import pytest

from recommender.errors import InvalidInputError
from training.simulation.catalogue import CatalogueSpec, build_catalogue
from training.simulation.identity import identify
from training.simulation.shoppers import Shoppers, ShopperSpec, build_shoppers

CATALOGUE = build_catalogue(CatalogueSpec(items=300), 30, np.random.default_rng(1))


def people(n: int, **more: float) -> Shoppers:
    spec = ShopperSpec(shoppers=n, **more)  # type: ignore[arg-type]
    return build_shoppers(spec, CATALOGUE, 30, np.random.default_rng(3))


def test_a_shopper_is_the_same_whatever_their_number() -> None:
    few, many = people(50), people(400)
    for name in ("taste", "brands", "interests", "visit_rate", "arrival_day", "is_bot"):
        assert np.array_equal(getattr(few, name), getattr(many, name)[:50]), name
    assert identify(few).visitors[0] == identify(many).visitors[0][:50]


def test_shares_are_as_asked_for() -> None:
    shoppers = people(20_000, bot_share=0.1, account_share=0.4, two_devices_share=0.3)
    assert abs(shoppers.is_bot.mean() - 0.1) < 0.01
    assert abs(shoppers.has_account.mean() - 0.4) < 0.015
    assert abs(shoppers.has_second_device.mean() - 0.3) < 0.015


def test_favourite_brands_fit_the_taste_better_than_others() -> None:
    shoppers = people(500)
    style = np.stack([CATALOGUE.style[CATALOGUE.brand == b].mean(axis=0) for b in range(12)])
    liking = shoppers.taste @ style.T
    own = np.take_along_axis(liking, shoppers.brands, axis=1).mean()
    assert own > liking.mean() + 0.15


def test_loyal_shoppers_come_much_more_often() -> None:
    loyal, casual = people(500, loyal_share=1.0), people(500, loyal_share=0.0)
    assert loyal.visit_rate.mean() > 10 * casual.visit_rate.mean()


def test_ids_are_unique_and_tell_nothing() -> None:
    shoppers = people(2000)
    identity = identify(shoppers)
    ids = [*identity.users, *identity.visitors[0], *identity.visitors[1]]
    assert len(set(ids)) == 6000
    bots = np.array([len(one) for one in identity.visitors[0]])[shoppers.is_bot]
    assert set(bots.tolist()) <= {17}


def test_a_shop_without_shoppers_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="shoppers=0"):
        ShopperSpec(shoppers=0)
