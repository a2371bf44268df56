from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import polars as pl
import pytest

from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.errors import InvalidInputError
from recommender.placements import OBJECTIVES, Placement, read_placements
from tests.training.simulation.shops import EAGER, PLENTY, arrays_of_shop, run_shop, spec_of
from training.simulation.closed_loop import Arm, LoopRequest, run_arm, write_warm_up
from training.simulation.loop_report import (
    BOTH,
    CHANGED,
    CONVERSION,
    DISMISSALS,
    NUISANCE,
    REMAINING,
    REPEATED,
    STEPS,
    TAKEN,
    TIRED,
    WAY,
    compare,
    compare_seeds,
)
from training.simulation.pipeline import Answering, answering

SPEC = spec_of(shoppers=250, days=5, items=60, behaviour=EAGER, stock=PLENTY)
REQUEST = LoopRequest(SPEC, warm_up_days=3, seed=7)


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    arrays, info = arrays_of_shop(SPEC, REQUEST.seed)
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
        taken=np.array(lengths, float),
        bought=bought,
        left=left,
        dismissals=np.array(visits) / 2,
        tired=(np.array(visits) > 1).astype(float),
        shown=np.array(visits) * 10,
        repeated=np.array(steps),
        compared=np.array(visits) * 8,
        changed=np.array(visits) * 2 + np.array(steps),
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
            TAKEN: (4 + 6 + 3) / 2,
            CONVERSION: 2 / 4,
            "visits per shopper": 4 / 3,
            "pages per visit": 2,
            "dismissals per visit": 1 / 2,
            "visits ended tired": 1 / 4,
            REPEATED: 10 / 40,
            CHANGED: (2 * 4 + 10) / 32,
            # S = 1 up to 3 steps, 1/2 from 4 on, 0 from 6 on; the fourth's 0 steps are no visit.
            REMAINING: 4 + 1 / 2 + 1 / 2,
        }
    )
    assert two.differences[STEPS].mean == 5 / 2 - 10 / 2
    assert two.differences[REPEATED].mean == pytest.approx(5 / 30 - 10 / 40)
    assert two.differences[CONVERSION].mean == pytest.approx(2 / 3 - 2 / 4)
    assert two.differences[BOTH].mean == 2 - 4  # one shopper bought in both
    assert one.differences == one.ratios == {}
    assert {name: each.mean for name, each in two.ratios.items()} == pytest.approx(
        {
            STEPS: (5 / 2) / (10 / 2),
            TAKEN: (6 / 2) / (13 / 2),
            DISMISSALS: (1.5 / 3) / (2 / 4),
            REPEATED: (5 / 30) / (10 / 40),
            TIRED: 0.0,
        }
    )


def test_a_figure_that_is_0_in_the_first_has_no_ratio() -> None:
    first = replace(arm("first", [4, 6], [1, 1], [4, 6]), dismissals=np.zeros(2))
    other = arm("other", [4, 6], [2, 1], [4, 6])
    report = compare_seeds({3: [first, other]}, horizon=8, draws_seed=1, rounds=50)
    assert DISMISSALS not in report.pooled.arms[1].ratios
    assert report.against_first()[0][f"{DISMISSALS}, times"] == ""


def test_arms_without_lists_of_the_pipeline_have_no_changed_pages() -> None:
    first = arm("first", [4, 6], [1, 1], [4, 6])
    other = replace(first, name="shop", compared=np.zeros(2), changed=np.zeros(2))
    report = compare_seeds({3: [first, other]}, horizon=8, draws_seed=1, rounds=50)
    assert CHANGED in report.pooled.arms[0].figures
    assert CHANGED not in report.pooled.arms[1].figures
    assert CHANGED not in report.pooled.arms[1].differences
    for rows in (report.rows(NUISANCE), report.against_first(), report.difference_rows(NUISANCE)):
        assert len({tuple(row) for row in rows}) == 1  # columns


def test_seeds_are_pooled_by_shopper_and_shown_beside() -> None:
    one = [arm("a", [4, 6, 0], [2, 1, 1], [4, 6, 3]), arm("b", [2, 0, 3], [1, 1, 1], [2, 1, 3])]
    two = [arm("a", [2, 2], [1, 1], [2, 2]), arm("b", [1, 3], [1, 2], [1, 3])]
    report = compare_seeds({5: one, 9: two}, horizon=8, draws_seed=1, rounds=50)
    assert report.seeds == {
        5: compare(one, 8, 1, rounds=50),
        9: compare(two, 8, 1, rounds=50),
    }
    first, second = report.pooled.arms
    assert (report.pooled.people, first.visits, first.asked) == (5, 6, 6)
    assert first.figures[STEPS].mean == (4 + 6 + 2 + 2) / 4
    assert second.ratios[STEPS].mean == pytest.approx((2 + 3 + 1 + 3) / 4 / (14 / 4))
    assert [(row["policy"], row["seed"]) for row in report.rows(WAY)] == [
        (name, seed) for name in ("a", "b") for seed in ("all", "5", "9")
    ]
    assert [row["seed"] for row in report.against_first()] == ["all", "5", "9"]
    assert report.against_first()[0][f"{STEPS}, %"].startswith("-35.7 [")  # type: ignore[attr-defined]


def test_an_arm_minus_itself_is_nothing(arms: dict[str, Arm]) -> None:
    report = compare([arms["file"], replace(arms["file"], name="again")], 20, 3, rounds=50)
    for each in report.arms[1].differences.values():
        assert (each.mean, each.low, each.high) == (0, 0, 0)


def test_arms_in_which_nobody_buys_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="arms without a purchase: idle"):
        compare([arm("idle", [0], [1], [2])], 8, 1)
