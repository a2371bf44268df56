"""Shoppers react to what they are shown, and the truth says how."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from recommender.errors import InvalidInputError
from recommender.terms import DISMISS, SELECT_ITEM, VIEW_ITEM
from tests.training.simulation.shops import EAGER, PLENTY, Ran, run_shop, spec_of
from training.simulation.behaviour import Pace
from training.simulation.recommenders import (
    FixedRecommender,
    PageContext,
    RandomRecommender,
    Recommender,
    Suggestion,
)
from training.simulation.shop import Shop
from training.simulation.truth import OracleRecommender, Truth

SPEC = spec_of(shoppers=900, days=6, behaviour=EAGER, stock=PLENTY)
ITEMS = Shop(SPEC, np.random.default_rng(7)).catalogue.item_ids


def run_with(recommender: Recommender | None) -> Ran:
    return run_shop(SPEC, 7, recommender)


@pytest.fixture(scope="module")
def unaided() -> Ran:
    return run_with(None)


@pytest.fixture(scope="module")
def by_chance() -> Ran:
    return run_with(RandomRecommender(ITEMS, seed=1))


@pytest.fixture(scope="module")
def oracle() -> Ran:
    knows = OracleRecommender()
    shop = Shop(SPEC, np.random.default_rng(7), knows)
    knows.truth = Truth(shop)
    return Ran(shop, list(shop.days()))


def way(run: Ran) -> np.ndarray:
    """Pages to the first purchase of each buying visit."""
    return run.orders.group_by("session_id").agg(pl.col("pages").min())["pages"].to_numpy()


def bought_share(run: Ran) -> float:
    return run.orders["session_id"].n_unique() / run.people.height


def standard_errors_apart(first: np.ndarray, second: np.ndarray) -> float:
    """Welch's statistic: how many standard errors the first mean lies below the second."""
    error = np.sqrt(first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second))
    return float((second.mean() - first.mean()) / error)


def test_knowing_the_need_shortens_the_way_to_a_purchase(
    oracle: Ran, unaided: Ran, by_chance: Ran
) -> None:
    for other in (unaided, by_chance):
        assert standard_errors_apart(way(oracle), way(other)) > 3.0
        assert bought_share(oracle) > bought_share(other)


def test_the_truth_says_that_the_suggestion_was_the_reason(oracle: Ran, by_chance: Ran) -> None:
    def due_to_recommendation(run: Ran) -> float:
        return float((run.orders["via"] == "recommendation").mean())

    assert due_to_recommendation(oracle) > 0.6
    assert due_to_recommendation(by_chance) < 0.3


def test_repeating_what_is_ignored_tires(by_chance: Ran) -> None:
    repeated = run_with(FixedRecommender(ITEMS[:6]))
    tired = [float((run.people["reason"] == "tired").mean()) for run in (repeated, by_chance)]
    dismissed = [run.count()[DISMISS] / run.people.height for run in (repeated, by_chance)]
    assert tired[0] > 5 * tired[1]
    assert dismissed[0] > 5 * dismissed[1]
    assert repeated.people["pages"].mean() < by_chance.people["pages"].mean()


def test_clicks_on_an_ignored_item_fade() -> None:
    knows = OracleRecommender()
    ratios: list[float] = []

    def watch(context: PageContext) -> Sequence[str]:
        truth, running = knows.truth, shop.running
        assert truth is not None
        assert running is not None
        best = truth.best(context.session_id, 1)
        before = truth.reward(context.session_id, best).any_click
        kept = running.exposed.copy()
        running.exposed[:, :3] = ITEMS.index(best[0])
        ratios.append(truth.reward(context.session_id, best).any_click / before)
        running.exposed[:] = kept
        return []

    shop = Shop(spec_of(shoppers=60, days=1), np.random.default_rng(7), watch)
    knows.truth = Truth(shop)
    list(shop.days())
    assert len(ratios) > 50
    assert np.allclose(ratios, np.exp(-3 * shop.spec.behaviour.fatigue))


def test_the_higher_place_is_clicked_more_often(by_chance: Ran) -> None:
    """Random lists: the place is the only difference."""
    clicks = np.zeros(6)
    for log in by_chance.logs:
        shown = [c for c in log.chunks if c.event_type == "view_item_list"]
        picked = [c for c in log.chunks if c.event_type == SELECT_ITEM]
        where = {
            ids: row
            for chunk in shown
            if chunk.recommendation_id is not None
            for ids, row in zip(chunk.recommendation_id, chunk.items.tolist(), strict=True)
        }
        for chunk in picked:
            assert chunk.recommendation_id is not None
            for ids, item in zip(chunk.recommendation_id, chunk.items[:, 0].tolist(), strict=True):
                if ids is not None:
                    clicks[where[ids].index(item)] += 1
    assert clicks.sum() > 300
    assert clicks[:2].sum() > 1.2 * clicks[4:].sum()


def test_the_expected_reward_is_what_happens_on_average() -> None:
    """Expected clicks on the recommendations against real ones, page by page."""
    knows = OracleRecommender()
    expected: dict[str, float] = {}
    chance = RandomRecommender(ITEMS, seed=3)

    def judge(context: PageContext) -> Suggestion:
        assert knows.truth is not None
        mixed = [*knows.truth.best(context.session_id, 2), *chance(context)][:6]
        shown = list(dict.fromkeys(mixed))
        reward = knows.truth.reward(context.session_id, shown)
        name = f"{context.session_id}/{context.at}"
        expected[name] = reward.any_click
        return Suggestion(shown, name)

    # Without leaving unread and going to the cart first, every page is read to its end.
    calm = EAGER.__class__(bounce=np.zeros(5), decide=0.0, idle_cart=0.0)
    shop = Shop(
        spec_of(shoppers=700, days=6, behaviour=calm, stock=PLENTY), np.random.default_rng(7), judge
    )
    knows.truth = Truth(shop)
    clicked = {
        ids
        for log in shop.days()
        for chunk in log.chunks
        if chunk.event_type == SELECT_ITEM and chunk.recommendation_id is not None
        for ids in chunk.recommendation_id
        if ids is not None
    }
    chances = np.array(list(expected.values()))
    error = np.sqrt((chances * (1.0 - chances)).sum())
    assert len(expected) > 2000
    assert abs(len(clicked) - chances.sum()) < 4.0 * error


def test_the_truth_about_a_visit_can_be_asked_by_session() -> None:
    knows = OracleRecommender()
    said: list[tuple[str, str, float, float]] = []

    def ask(context: PageContext) -> Sequence[str]:
        truth = knows.truth
        assert truth is not None
        best = truth.best(context.session_id, 3)
        fit = truth.match(context.session_id, [*best, *ITEMS[:20]])
        said.append(
            (
                truth.pace(context.session_id),
                truth.need_category(context.session_id),
                float(fit[:3].mean()),
                float(fit[3:].mean()),
            )
        )
        with pytest.raises(InvalidInputError, match="not at a page"):
            truth.pace("nobody.1")
        with pytest.raises(InvalidInputError, match="not in the catalogue"):
            truth.match(context.session_id, ["unknown"])
        return best

    shop = Shop(spec_of(shoppers=80, days=2), np.random.default_rng(7), ask)
    knows.truth = Truth(shop)
    logs = list(shop.days())
    assert {pace for pace, *_ in said} <= {one.name.lower() for one in Pace}
    assert np.mean([best for *_, best, _ in said]) > 2 * np.mean([rest for *_, rest in said])
    assert sum(len(log.truth) for log in logs) > 50


def test_unknown_items_are_counted_and_not_shown() -> None:
    shop = Shop(
        spec_of(shoppers=60, days=1),
        np.random.default_rng(1),
        lambda _: ["nowhere", ITEMS[0], ITEMS[0]],
    )
    run = Ran(shop, list(shop.days()))
    lists = run.of_type("view_item_list").filter(pl.col("placement").is_not_null())
    assert shop.display.unknown_items == lists["recommendation_id"].n_unique() > 50
    assert set(lists["item_id"]) == {ITEMS[0]}
    assert lists["item_position"].max() == 0


def test_an_empty_answer_is_an_answer() -> None:
    run = run_shop(spec_of(shoppers=60, days=1), 1, lambda _: [])
    assert run.of_type("view_item_list").filter(pl.col("placement").is_not_null()).height == 0
    assert run.of_type(VIEW_ITEM).height > 50


def test_clicks_carry_the_recommendation_they_came_from(oracle: Ran) -> None:
    picked = oracle.of_type(SELECT_ITEM).filter(pl.col("recommendation_id").is_not_null())
    shown = oracle.of_type("view_item_list").select("recommendation_id", "item_id", "placement")
    assert picked.height > 300
    assert (
        picked.join(shown, on=["recommendation_id", "item_id", "placement"]).height == picked.height
    )
    viewed = oracle.of_type(VIEW_ITEM).select("session_id", "recommendation_id", "item_id").unique()
    assert (
        picked.join(viewed, on=["session_id", "recommendation_id", "item_id"]).height
        == picked.height
    )


def test_an_oracle_without_truth_says_so() -> None:
    with pytest.raises(InvalidInputError, match="no truth"):
        run_shop(spec_of(shoppers=20, days=1), 1, OracleRecommender())
