from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest

from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest, SourceInfo
from recommender.catalogue import CatalogueItem, catalogue_arrays
from recommender.errors import InvalidInputError
from recommender.placements import OBJECTIVES, Placement, read_placements
from tests.bundles import shop_info
from tests.training.simulation.shops import EAGER, PLENTY, run_shop, spec_of
from training.simulation.closed_loop import Arm, LoopRequest, run_arm, write_warm_up
from training.simulation.loop_report import (
    BOTH,
    CONVERSION,
    REMAINING,
    REPEATED,
    STEPS,
    compare,
)
from training.simulation.pipeline import Answering, answering
from training.simulation.shop import Shop

SPEC = spec_of(shoppers=250, days=5, items=60, behaviour=EAGER, stock=PLENTY)
REQUEST = LoopRequest(SPEC, warm_up_days=3, seed=7)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    """A model of the made-up shop that knows what is popular and what goes back to whom."""
    shop = Shop(SPEC, np.random.default_rng(REQUEST.seed))
    items = [
        CatalogueItem(item_id, "", shop.catalogue.leaves[leaf].path, None, 1.0, is_available=True)
        for item_id, leaf in zip(shop.catalogue.item_ids, shop.catalogue.leaf, strict=True)
    ]
    items.sort(key=lambda item: item.item_id)
    arrays = catalogue_arrays(items, np.linspace(2, 1, len(items)).astype(np.float32))
    names = ("popularity", "popular_in_category", "returns")
    info = shop_info(dict.fromkeys(names, 1.0), sources={name: SourceInfo() for name in names})
    return bundle_of(arrays, BundleManifest.describe(info, {}))


@pytest.fixture(scope="module")
def arms(bundle: ModelBundle) -> dict[str, Arm]:
    places = read_placements()
    names = ("file", "popularity", "popularity:tireless", "nothing", "shop")
    return {name: run_arm(REQUEST, name, answering(name, bundle, places)) for name in names}


def test_the_same_arm_twice_is_the_same(bundle: ModelBundle, arms: dict[str, Arm]) -> None:
    again = run_arm(REQUEST, "file", answering("file", bundle, read_placements()))
    for column in fields(Arm):
        one, two = getattr(again, column.name), getattr(arms["file"], column.name)
        assert np.array_equal(one, two, equal_nan=column.name == "first_steps")


def test_the_shops_own_lists_are_the_plain_run(arms: dict[str, Arm]) -> None:
    ran = run_shop(SPEC, seed=REQUEST.seed)
    late = ran.people.filter(pl.col("day") >= REQUEST.warm_up_days)
    arm = arms["shop"]
    assert arm.visits.sum() == late.height
    assert arm.pages.sum() == late["pages"].sum()
    bought = ran.orders.join(late, on="session_id").unique("session_id")
    assert arm.buying_visits.sum() == bought.height
    assert arm.asked == 0
    assert (arm.bought.sum(axis=1) == arm.buying_visits).all()
    assert (arm.left.sum(axis=1) == arm.visits - arm.buying_visits).all()


def test_lists_change_what_happens_and_nothing_before_the_switch(arms: dict[str, Arm]) -> None:
    assert arms["file"].asked > 500
    assert arms["nothing"].asked == 0
    steps = {name: arm.steps.tobytes() for name, arm in arms.items()}
    assert len(set(steps.values())) == len(steps)
    assert all(arm.journeys.sum() > 20 for arm in arms.values())
    # The same shoppers on the first day, with the same needs, whatever they are shown.
    assert len({len(arm.visits) for arm in arms.values()}) == 1


def test_what_was_ignored_goes_round_unless_a_policy_is_tireless(arms: dict[str, Arm]) -> None:
    share = {name: arm.repeated.sum() / max(arm.shown.sum(), 1) for name, arm in arms.items()}
    assert share["popularity"] < 0.5 * share["popularity:tireless"]
    assert share["shop"] > 0.1
    assert arms["nothing"].shown.sum() == 0
    assert (arms["file"].repeated <= arms["file"].shown).all()
    assert all((arm.tired <= arm.visits).all() for arm in arms.values())
    assert arms["shop"].dismissals.sum() > 0


def test_who_knows_what_everybody_wants_sells_more_with_shorter_ways(bundle: ModelBundle) -> None:
    many = replace(REQUEST, spec=spec_of(1500, 3, 300, behaviour=EAGER), warm_up_days=1)
    arms = [run_arm(many, name, answering(name, bundle, {})) for name in ("nothing", "oracle")]
    against = compare(arms, 20, 3, rounds=200).arms[1].differences
    assert against[CONVERSION].low > 0
    assert against[STEPS].high < 0


def test_the_log_before_the_switch_holds_nothing_after_it(tmp_path) -> None:  # type: ignore[no-untyped-def]
    events = write_warm_up(REQUEST, tmp_path / "log")
    rows = pl.read_parquet(tmp_path / "log")
    plain = run_shop(SPEC, seed=REQUEST.seed).logs[: REQUEST.warm_up_days]
    assert rows["event_id"].n_unique() == events
    assert events == sum(len(chunk) for log in plain for chunk in log.chunks)


def test_policies_are_named_and_differ_in_the_objective_alone(bundle: ModelBundle) -> None:
    places = read_placements()
    for name in OBJECTIVES:
        made = answering(name, bundle, places)
        assert isinstance(made, Answering)
        assert {place.objective for place in (made.placements or {}).values()} == {name}
        kept = {k: replace(v, objective="next_step") for k, v in (made.placements or {}).items()}
        assert kept == places
    assert answering("shop", bundle, places) is None
    with pytest.raises(InvalidInputError, match="policy 'guess'; accepted: file, next_step"):
        answering("guess", bundle, places)


def test_a_page_without_its_placement_is_an_error(bundle: ModelBundle) -> None:
    with pytest.raises(InvalidInputError, match="the shop asks at placement 'home'"):
        run_arm(REQUEST, "bare", Answering("bare", bundle, {"item": Placement("item")}))


@pytest.mark.parametrize("days", [0, 5])
def test_days_must_be_left_on_both_sides_of_the_switch(days: int) -> None:
    with pytest.raises(InvalidInputError, match="accepted: 1 to 4"):
        LoopRequest(SPEC, warm_up_days=days, seed=0)


def arm(name: str, steps: list[float], visits: list[float], lengths: list[int]) -> Arm:
    """Shoppers with at most one purchase, 0 steps meaning none; one visit of each length."""
    way = np.array(steps)
    bought = np.zeros((len(steps), 9))
    left = np.zeros((len(steps), 9))
    for row, length in enumerate(lengths):
        (bought if way[row] else left)[row, length] = 1
    return Arm(
        name,
        visits=np.array(visits),
        buying_visits=(way > 0).astype(float),
        journeys=(way > 0).astype(float),
        steps=way,
        first_steps=np.where(way > 0, way, np.nan),
        pages=np.array(visits) * 2,
        bought=bought,
        left=left,
        dismissals=np.array(visits) / 2,
        tired=(np.array(visits) > 1).astype(float),
        shown=np.array(visits) * 10,
        repeated=np.array(steps),
        asked=3,
    )


def test_figures_and_differences_by_hand() -> None:
    first = arm("first", [4, 6, 0, 0], [2, 1, 1, 0], [4, 6, 3, 0])
    other = arm("other", [2, 0, 3, 0], [1, 1, 1, 0], [2, 1, 3, 0])
    report = compare([first, other], horizon=8, draws_seed=1, rounds=200)
    one, two = report.arms
    assert report.people == 3  # the fourth came in neither
    assert {name: each.mean for name, each in one.figures.items()} == pytest.approx(
        {
            STEPS: 10 / 2,
            CONVERSION: 2 / 4,
            "visits per shopper": 4 / 3,
            "pages per visit": 2,
            "dismissals per visit": 1 / 2,
            "visits ended tired": 1 / 4,
            REPEATED: 10 / 40,
            # S = 1 up to 3 steps, 1/2 from 4 on, 0 from 6 on; the fourth's 0 steps are no visit.
            REMAINING: 4 + 1 / 2 + 1 / 2,
        }
    )
    assert two.differences[STEPS].mean == 5 / 2 - 10 / 2
    assert two.differences[REPEATED].mean == pytest.approx(5 / 30 - 10 / 40)
    assert two.differences[CONVERSION].mean == pytest.approx(2 / 3 - 2 / 4)
    assert two.differences[BOTH].mean == 2 - 4  # one shopper bought in both
    assert one.differences == {}
    assert len(report.difference_rows()) == 1


def test_an_arm_minus_itself_is_nothing(arms: dict[str, Arm]) -> None:
    report = compare([arms["file"], replace(arms["file"], name="again")], 20, 3, rounds=50)
    for each in report.arms[1].differences.values():
        assert (each.mean, each.low, each.high) == (0, 0, 0)


def test_arms_in_which_nobody_buys_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="arms without a purchase: idle"):
        compare([arm("idle", [0], [1], [2])], 8, 1)
