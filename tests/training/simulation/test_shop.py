from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from recommender.errors import InvalidInputError
from recommender.terms import ADD_TO_CART, PURCHASE, REFUND, REVIEW, VIEW_ITEM
from tests.training.simulation.shops import EAGER, PLENTY, Ran, run_shop, spec_of
from training.simulation.aftermath import AftermathSpec
from training.simulation.demand import DemandSpec
from training.simulation.shop import ShopSpec
from training.simulation.stock import StockSpec

LOYAL = DemandSpec(due=0.9, customer=0.3)


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    spec = spec_of(shoppers=200, days=5)
    first, second, other = run_shop(spec, 1), run_shop(spec, 1), run_shop(spec, 2)
    assert first.rows.equals(second.rows)
    assert first.visits.equals(second.visits)
    assert not first.rows.equals(other.rows)


def test_a_shopper_behaves_the_same_whoever_else_is_there() -> None:
    few = run_shop(spec_of(shoppers=150, days=6, stock=PLENTY), 3)
    many = run_shop(spec_of(shoppers=600, days=6, stock=PLENTY), 3)
    # Best sellers differ, and with them the lists: compare who came, when, and what they wanted.
    own = many.people.filter(pl.col("visitor_id").is_in(few.visits["visitor_id"].implode()))
    first = few.people.filter(pl.col("visit") == 1).sort("session_id")
    again = own.filter(pl.col("visit") == 1).sort("session_id")
    same = ["session_id", "started", "pace", "entry", "need_category"]
    both = first.join(again, on=["session_id", "need_kind"], suffix="_many")
    new = both.filter(pl.col("need_kind") == "new")
    assert len(new) > 100
    assert all((new[name] == new[f"{name}_many"]).all() for name in same[1:])


def test_events_of_a_visit_follow_each_other_within_half_an_hour(ran: Ran) -> None:
    rows = ran.rows.filter(pl.col("session_id").is_not_null())
    number = pl.col("event_id").str.split(".").list.last().cast(pl.Int64)
    ordered = rows.with_columns(number=number).sort("session_id", "number", "item_position")
    gap = pl.col("ts").diff().over("session_id").dt.total_microseconds()
    gaps = ordered.select(gap.alias("gap"))["gap"].drop_nulls()
    assert gaps.min() >= 0
    assert gaps.max() < 30 * 60 * 1_000_000


def test_visits_of_one_device_never_overlap(ran: Ran) -> None:
    spans = (
        ran.rows.filter(pl.col("session_id").is_not_null())
        .group_by("visitor_id", "session_id")
        .agg(pl.col("ts").min().alias("begin"), pl.col("ts").max().alias("end"))
        .sort("visitor_id", "begin")
        .with_columns(before=pl.col("end").shift(1).over("visitor_id"))
        .drop_nulls()
    )
    assert spans.height > 300
    assert (spans["begin"] - spans["before"]).min().total_seconds() >= 30 * 60


def test_hurried_visits_are_shorter_and_quicker_than_browsing_ones(ran: Ran) -> None:
    pages = dict(ran.people.group_by("pace").agg(pl.col("pages").mean()).iter_rows())
    assert pages["hurried"] < 0.8 * pages["browsing"]
    gaps = (
        ran.rows.filter(pl.col("event_type") == VIEW_ITEM)
        .sort("session_id", "ts")
        .with_columns(gap=pl.col("ts").diff().over("session_id").dt.total_seconds())
        .join(ran.people.select("session_id", "pace"), on="session_id")
    )
    median = dict(gaps.group_by("pace").agg(pl.col("gap").median()).iter_rows())
    assert median["hurried"] < 0.7 * median["browsing"]


def test_returning_visits_begin_with_what_was_seen_before(ran: Ran) -> None:
    back = ran.people.filter((pl.col("pace") == "returning") & (pl.col("entry") == "item"))
    views = ran.of_type(VIEW_ITEM).sort("ts")
    landed = (
        views.group_by("session_id", maintain_order=True).first().select("session_id", "item_id")
    )
    again = 0
    for session_id, item, visitor in (
        back.join(landed, on="session_id").select("session_id", "item_id", "visitor_id").iter_rows()
    ):
        visits = views.filter(
            (pl.col("visitor_id") == visitor) & (pl.col("session_id") != session_id)
        )
        again += item in visits["item_id"].to_list()
    # The rest was seen on the other device.
    assert again / back.height > 0.6


def test_sold_out_items_are_not_bought() -> None:
    scarce = StockSpec(cover_days=0.01, thin_share=0.0, refill_days=4)
    run = run_shop(spec_of(shoppers=2500, days=8, items=60, behaviour=EAGER, stock=scarce))
    index = {one: place for place, one in enumerate(run.shop.catalogue.item_ids)}
    sold_out = 0
    for log in run.logs:
        bought = [int(item) for one in log.orders for item in one.items[one.quantity > 0].ravel()]
        sold_out += int((~log.on_sale).sum())
        assert log.on_sale[bought].all()
        # Two units of each were there at most, so that no more than two lines can have sold.
        assert np.bincount(bought, minlength=len(index)).max(initial=0) <= 2
    assert sold_out > 50
    assert (run.shop.stock.units >= 0).all()


def test_new_items_are_not_seen_before_they_arrive(ran: Ran) -> None:
    catalogue = ran.shop.catalogue
    late = {catalogue.item_ids[i]: int(d) for i, d in enumerate(catalogue.arrival_day) if d > 2}
    seen = (
        ran.rows.filter(pl.col("item_id").is_in(list(late)))
        .group_by("item_id")
        .agg(pl.col("ts").min())
    )
    assert len(late) > 10
    for item, ts in seen.iter_rows():
        assert (ts - ran.shop.spec.start).total_seconds() >= late[item] * 86_400


def test_seasonal_goods_are_seen_in_their_season() -> None:
    def views_of(month: int) -> float:
        spec = replace(
            spec_of(shoppers=1500, days=4, items=1600), start=datetime(2026, month, 1, tzinfo=UTC)
        )
        rows = run_shop(spec).of_type(VIEW_ITEM)
        return rows.filter(pl.col("category") == "garden/outdoor/barbecues").height / rows.height

    assert views_of(6) > 3 * views_of(12)


def test_consumables_are_bought_again_near_their_interval() -> None:
    spec = spec_of(shoppers=400, days=60, items=300, behaviour=EAGER, demand=LOYAL, stock=PLENTY)
    run = run_shop(spec)
    interval = {leaf.path: leaf.every for leaf in run.shop.catalogue.leaves if 0 < leaf.every <= 21}
    bought = (
        run.orders.join(run.visits.select("session_id", "day", "need_item_id"), on="session_id")
        .with_columns(shopper=pl.col("visitor_id"))
        .join(ran_items(run), on="item_id")
        .filter(pl.col("category").is_in(list(interval)))
        .sort("shopper", "item_id", "day")
        .with_columns(
            wait=pl.col("day").diff().over("shopper", "item_id"),
            units=pl.col("quantity").shift(1).over("shopper", "item_id"),
            every=pl.col("category").replace_strict(interval, return_dtype=pl.Float64),
        )
        .filter((pl.col("wait") > 0) & (pl.col("need_item_id") == pl.col("item_id")))
    )
    # Several units last longer, by the root of their number.
    ratio = bought["wait"] / (bought["every"] * bought["units"].sqrt())
    assert bought.height > 60
    assert 0.85 < ratio.median() < 1.35
    assert ((ratio > 0.6) & (ratio < 2.0)).mean() > 0.75


def ran_items(run: Ran) -> pl.DataFrame:
    catalogue = run.shop.catalogue
    return pl.DataFrame(
        {
            "item_id": catalogue.item_ids,
            "category": [catalogue.leaves[leaf].path for leaf in catalogue.leaf],
        }
    )


def test_bots_are_labelled_crawl_steadily_and_never_buy() -> None:
    spec = spec_of(shoppers=1500, days=6)
    spec = replace(spec, shoppers=replace(spec.shoppers, bot_share=0.2))
    run = run_shop(spec)
    bots = run.visits.filter("is_bot")
    assert bots.height > 50
    assert bots["pace"].null_count() == bots.height
    rows = run.rows.filter(pl.col("session_id").is_in(bots["session_id"].implode()))
    assert set(rows["event_type"]) == {VIEW_ITEM}
    assert rows.group_by("session_id").len()["len"].min() >= spec.bots.views[0]
    gaps = (
        rows.sort("session_id", "ts")
        .group_by("session_id")
        .agg(pl.col("ts").diff().drop_nulls().n_unique())
    )
    assert set(gaps["ts"]) == {1}
    assert not any(run.visits["is_bot"].to_list() and name in rows.columns for name in ("is_bot",))


def test_refunds_and_reviews_follow_an_order_by_days() -> None:
    often = AftermathSpec(refund=0.4, review=0.5, days=(2.0, 3.0))
    run = run_shop(spec_of(shoppers=800, days=12, behaviour=EAGER, aftermath=often))
    bought = run.of_type(PURCHASE).select(
        "transaction_id", "item_id", "visitor_id", "quantity", bought_at="ts"
    )
    refunds = run.of_type(REFUND)
    joined = refunds.join(bought, on=["transaction_id", "item_id", "visitor_id", "quantity"])
    assert joined.height == refunds.height > 20
    waited = (joined["ts"] - joined["bought_at"]).dt.total_seconds() / 86_400
    assert waited.min() >= 2.0
    assert waited.max() <= 3.0
    assert refunds["session_id"].null_count() == refunds.height
    reviews = run.of_type(REVIEW).select("visitor_id", "item_id")
    assert reviews.height > 20
    assert reviews.join(bought, on=["visitor_id", "item_id"]).height >= reviews.height


def test_logging_in_joins_devices_and_is_said_by_an_event(ran: Ran) -> None:
    known = ran.rows.filter(pl.col("user_id").is_not_null())
    users = known.group_by("visitor_id").agg(pl.col("user_id").n_unique())
    assert set(users["user_id"]) == {1}
    per_user = known.group_by("user_id").agg(pl.col("visitor_id").n_unique())
    assert per_user["visitor_id"].max() == 2
    said = ran.of_type("identify")
    assert said.height > 5
    assert said["user_id"].null_count() == 0


def test_carts_are_filled_before_they_are_bought(ran: Ran) -> None:
    bought = ran.of_type(PURCHASE).select("visitor_id", "item_id", bought_at="ts", value="value")
    carts = ran.of_type(ADD_TO_CART).select("visitor_id", "item_id", "ts")
    met = bought.join(carts, on=["visitor_id", "item_id"]).filter(
        pl.col("ts") < pl.col("bought_at")
    )
    direct = met.unique(["visitor_id", "item_id", "bought_at"]).height / bought.height
    # The rest was put there on the other device.
    assert direct > 0.9
    assert bought["value"].min() > 0


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="time zone"):
        ShopSpec(start=datetime(2026, 1, 1))  # noqa: DTZ001 - the missing zone is the point
    with pytest.raises(InvalidInputError, match="days=0"):
        ShopSpec(start=datetime(2026, 1, 1, tzinfo=UTC), days=0)


def test_a_shop_that_nobody_visits_gives_no_events() -> None:
    spec = spec_of(shoppers=1, days=1)
    run = run_shop(replace(spec, shoppers=replace(spec.shoppers, bot_share=1.0)), 0)
    assert run.people.height == 0
