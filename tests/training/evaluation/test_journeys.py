from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from recommender.bundle import ModelBundle
from recommender.journey import NEVER, VisitLengths
from recommender.placements import Placement
from recommender.query import Interaction, Query
from recommender.terms import ADD_TO_CART, PURCHASE, REMOVE_FROM_CART, VIEW_ITEM
from tests.bundles import AT, AT_MICROS, MINUTE, viewed
from training.engine import Period
from training.evaluation import plots_journeys
from training.evaluation.bootstrap import Bootstrap
from training.evaluation.journey_replay import Variant, cart_of, first_shown, replay
from training.evaluation.journey_report import JourneyReport
from training.evaluation.journey_sample import Journey, JourneySample, Visits
from training.evaluation.journey_slices import entry_name, length_name, ordered_names
from training.evaluation.journeys import Contest, report_journeys
from training.spec import TrainingSpec, parse_spec

NEXT = Placement("next", exclude=("dismissed",), candidates=20)
POPULAR = Placement("next", exclude=("dismissed",), sources=("popularity",))
SPEC = parse_spec({"evaluation": {"bootstrap_rounds": 200}, "journeys": {"k": 5, "horizon": 4}})


def way(*items: int) -> tuple[Query, ...]:
    """What a stranger is asked with along these views: nothing, one view, two views, …"""
    return tuple(
        Query(at=AT, placement="next", session=viewed(*items[:steps]))
        for steps in range(len(items) + 1)
    )


def journey(
    number: int, bought: dict[str, int], queries: tuple[Query, ...], **labels: str
) -> Journey:
    known = {"entry": "item", "shopper": "new", "length": "3-5 steps"} | labels
    sights = tuple(bought.values())
    return Journey(number, tuple(bought), sights, 5, queries[: max(sights)], known)


@pytest.fixture
def sample() -> JourneySample:
    """Items 0 to 4 are the most popular five, in this order; even ones are the garden."""
    journeys = (
        journey(0, {"item-03": 3}, way(2, 4)),  # popular: shown at once, three steps saved
        journey(0, {"item-08": 1}, way(6)),  # one step, and nobody could know
        journey(1, {"item-12": 2, "item-01": 2}, way(6, 10), entry="search"),
        journey(2, {"item-05": 0}, way(), shopper="returning", length="1-2 steps"),
    )
    labels = tuple({"entry": "item", "shopper": "new", "length": "3-5 steps"} for _ in range(4))
    lengths = VisitLengths(
        np.array([3, 1, 2, 4]),
        np.array([True, False, True, False]),
        np.array([2, NEVER, NEVER, 4]),
    )
    counts = {"purchases": 5, "kept": 4, "visits kept": 4}
    period = Period(AT_MICROS, AT_MICROS + 7 * 24 * 60 * MINUTE)
    return JourneySample(period, journeys, Visits(np.array([0, 0, 1, 2]), lengths, labels), counts)


@pytest.fixture
def report(bundle: ModelBundle, sample: JourneySample) -> JourneyReport:
    contest = Contest(
        (Variant("model", bundle, NEXT), Variant("popularity", bundle, POPULAR)),
        (Variant("model", bundle, NEXT, on_page=True),),
        {"model": ("v1", "as served"), "popularity": ("v1", "as served")},
    )
    return report_journeys(sample, contest, SPEC)


def test_popularity_saves_what_can_be_counted_by_hand(report: JourneyReport) -> None:
    # Paths of 3, 0 (of 1), mean of 0 and 2, and 0 (of 0) steps saved: four journeys.
    found = report.whole.variants["popularity"]
    assert found.steps_saved.mean == (3 + 0 + (0 + 2) / 2 + 0) / 4
    assert found.shortened.mean == (1 + 0 + 1 / 2 + 0) / 4
    assert found.share_of_first_sight is not None
    assert found.share_of_first_sight.mean == (3 + 1) / (3 + 1 + 2 + 0)
    assert report.whole.first_sight is not None
    assert report.whole.first_sight.mean == (3 + 1 + 2 + 0) / 4


def test_conversion_stands_beside_every_slice(report: JourneyReport) -> None:
    assert report.whole.conversion is not None
    assert report.whole.conversion.mean == 2 / 4
    by_name = {(each.group, each.name): each for each in report.slices}
    assert by_name["entry", "item"].visits == 4
    assert by_name["entry", "search"].conversion is None  # no visit of the sample began there
    returning = by_name["shopper", "returning"]
    assert returning.variants["model"].share_of_first_sight is None  # nothing to be saved
    assert [each.name for each in report.slices if each.group == "length"] == [
        "1-2 steps",
        "3-5 steps",
    ]


def test_the_gain_is_paired(report: JourneyReport) -> None:
    saved = {name: each.steps_saved.mean for name, each in report.whole.variants.items()}
    assert report.gains["popularity"].mean == pytest.approx(saved["model"] - saved["popularity"])


def test_remaining_steps_by_stage(report: JourneyReport) -> None:
    begins, *_ = report.remaining
    # Bought after 3 and 2 steps, left after 1 and 4: S = 1, 1, 2/3, 1/3 up to four steps.
    assert begins.steps.mean == pytest.approx(1 + 1 + 2 / 3 + 1 / 3)
    assert (begins.visits, begins.bought) == (4, 2)
    cart = report.remaining[-1]
    assert (cart.stage, cart.visits, cart.bought) == ("something in the cart", 2, 1)


def test_nothing_is_asked_once_every_item_was_shown(
    bundle: ModelBundle, sample: JourneySample
) -> None:
    popularity = Variant("popularity", bundle, POPULAR)
    asked = [first_shown(each, popularity, 5) for each in sample.journeys]
    assert asked == [([0], 1), ([NEVER], 1), ([NEVER, 0], 2), ([NEVER], 0)]
    assert replay(sample.journeys, popularity, 5).answers == 4


def test_a_page_is_asked_with_its_item_and_the_cart(bundle: ModelBundle) -> None:
    done = [("item-02", ADD_TO_CART), ("item-04", ADD_TO_CART), ("item-02", REMOVE_FROM_CART)]
    past = tuple(Interaction(*each, AT_MICROS - 1) for each in done)
    assert cart_of(past) == ("item-04",)
    assert cart_of((*past, Interaction("item-04", PURCHASE, AT_MICROS))) == ()
    # Beside an item that item is not shown: what is shown on its page is never the page's item.
    page = Placement("item", seeds=("context",), exclude=("context",))
    query = Query(at=AT, placement="next", session=viewed(0))
    asked = journey(0, {"item-00": 1}, (query,))
    assert first_shown(asked, Variant("model", bundle, page, on_page=True), 20) == ([NEVER], 1)
    assert first_shown(asked, Variant("model", bundle, page), 20) == ([0], 1)


@pytest.mark.parametrize(
    ("event_type", "placement", "name"),
    [
        (VIEW_ITEM, None, "item"),
        (ADD_TO_CART, None, "item"),
        ("search", None, "search"),
        ("view_item_list", "home", "home"),
        ("view_item_list", None, "list"),
        ("begin_checkout", None, "cart"),
        ("select_promotion", None, "promotion"),
        ("share", None, "share"),
    ],
)
def test_entries_are_named_after_where_a_visit_begins(
    event_type: str, placement: str | None, name: str
) -> None:
    assert entry_name(event_type, placement) == name


def test_lengths_are_banded_and_in_order() -> None:
    names = [length_name(steps) for steps in (0, 1, 2, 3, 10, 20, 21, 1000)]
    assert names[1:5] == ["1-2 steps", "1-2 steps", "3-5 steps", "6-10 steps"]
    assert names[-2:] == ["21 or more steps"] * 2
    assert ordered_names("length", reversed(names)) == list(dict.fromkeys(names))
    assert ordered_names("entry", ["search", "item", "search"]) == ["item", "search"]


def test_the_report_survives_a_file_and_names_everything(
    report: JourneyReport, tmp_path: Path
) -> None:
    json_path, markdown_path = report.save(tmp_path)
    assert JourneyReport.from_json(json_path.read_bytes()) == report
    text = markdown_path.read_text("utf-8")
    for word in ("conversion", "popularity", "entry: search", "something in the cart", "purchases"):
        assert word in text


def test_the_same_sample_gives_the_same_report(
    bundle: ModelBundle, sample: JourneySample, report: JourneyReport
) -> None:
    contest = Contest(
        (Variant("model", bundle, NEXT), Variant("popularity", bundle, POPULAR)),
        (Variant("model", bundle, NEXT, on_page=True),),
        {"model": ("v1", "as served"), "popularity": ("v1", "as served")},
    )
    assert report_journeys(sample, contest, SPEC).to_json() == report.to_json()


def test_pictures_are_drawn_also_of_an_empty_slice(report: JourneyReport, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    bare = msgspec.structs.replace(report, placements=(), remaining=())
    names = ["journeys_by_slice.png", "journeys_by_placement.png", "journeys_remaining_steps.png"]
    drawn = plots_journeys.draw_all(report, one)
    assert [path.name for path in drawn] == names
    again = plots_journeys.draw_all(report, two)
    assert [path.read_bytes() for path in drawn] == [path.read_bytes() for path in again]
    assert len(plots_journeys.draw_all(bare, two)) == 3


def test_a_ratio_is_drawn_by_shopper() -> None:
    """One shopper with many journeys moves the interval as one, not as many."""
    sums, counts = np.array([40.0, 0, 0, 0, 0]), np.array([20.0, 1, 1, 1, 1])
    draws = Bootstrap.draw(5, 500, 0.95, 1)
    found = draws.ratio(sums, counts)
    assert found.mean == 40 / 24
    assert found.low == 0
    assert found.high == pytest.approx(2, abs=0.1)
    with pytest.raises(ValueError, match="nothing to count"):
        draws.ratio(sums, np.zeros(5))
    assert TrainingSpec().journeys.k == 10
