from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import DataError
from recommender.terms import (
    ADD_TO_CART,
    MICROS_PER_SECOND,
    PURCHASE,
    SEARCH,
    SELECT_ITEM,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
)
from tests.factories import DAY, HOUR, MINUTE, START, Did, write_log
from training.engine import Period
from training.engines.local import LocalEngine
from training.evaluation.journey_sample import JourneySample, sample_journeys
from training.exam import Store
from training.spec import TrainingSpec, parse_spec

CUT = START + 10 * DAY
PERIOD = Period(CUT, CUT + 5 * DAY)
ENGINE = LocalEngine()


def walk(shopper: str, begin: int, *done: tuple[str, str]) -> list[Did]:
    """One thing a minute."""
    return [
        Did(shopper, item, begin + n * MINUTE, event_type)
        for n, (item, event_type) in enumerate(done)
    ]


# ann comes back after the cut, searches, and buys the third thing she looks at.
ANN = [
    Did("ann", "a", START),
    Did("ann", None, CUT + HOUR, SEARCH),
    *walk(
        "ann",
        CUT + HOUR + MINUTE,
        ("b", VIEW_ITEM),
        ("c", SELECT_ITEM),
        ("c", VIEW_ITEM),
        ("d", VIEW_ITEM),
        ("d", ADD_TO_CART),
        ("d", PURCHASE),
    ),
]
BOB = walk("bob", CUT + DAY, ("a", VIEW_ITEM), ("a", PURCHASE))  # buys what he came for
CLEO = walk("cleo", CUT - MINUTE, ("a", VIEW_ITEM), ("b", VIEW_ITEM), ("b", PURCHASE))
DAVE = [Did("dave", "a", CUT + DAY, PURCHASE)]
EVE = [Did("eve", "a", CUT + 2 * DAY, VIEW_ITEM_LIST), Did("fred", "a", CUT + 2 * DAY)]
LOG = [*ANN, *BOB, *CLEO, *DAVE, *EVE, Did("zoe", "z", PERIOD.end - 1)]


def draw(
    root: Path, done: list[Did], spec: TrainingSpec | None = None, period: Period = PERIOD
) -> JourneySample:
    root.mkdir(parents=True, exist_ok=True)
    store = Store(ENGINE, write_log(root / "store", done), root, period.end)
    spec = spec or TrainingSpec()
    window = ENGINE.ingest_window(store.layout, spec, store.as_of, root)
    return sample_journeys(store, window, spec, period)


def test_a_journey_is_asked_before_each_step_with_what_was_known_then(tmp_path: Path) -> None:
    ann, bob = draw(tmp_path, LOG).journeys
    assert (ann.bought, ann.first_sight, ann.steps) == (("d",), (2,), 4)
    moments = [round(query.at.timestamp() * MICROS_PER_SECOND) for query in ann.queries]
    assert moments == [CUT + HOUR + MINUTE, CUT + HOUR + 2 * MINUTE]
    first, second = ann.queries
    assert [each.item_id for each in first.history] == ["a"]
    assert first.session == ()
    assert [each.item_id for each in second.session] == ["b"]
    assert (bob.first_sight, bob.queries) == ((0,), ())


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    assert draw(tmp_path, LOG).counts == {
        "purchases": 4,
        "no step before the purchase": 1,  # dave
        "began before the period": 1,  # cleo
        "sampled down": 0,
        "kept": 2,
        "begin with what is bought": 1,  # bob
        "followed in part": 0,
        "visits": 6,
        "visits kept": 6,
    }


def test_journeys_and_visits_have_the_same_slices(tmp_path: Path) -> None:
    found = draw(tmp_path, LOG)
    assert [each.labels for each in found.journeys] == [
        {"entry": "search", "shopper": "returning", "length": "3-5 steps"},
        {"entry": "item", "shopper": "new", "length": "1-2 steps"},
    ]
    by_entry = sorted(each["entry"] for each in found.visits.labels)
    assert by_entry == ["item", "item", "item", "list", "purchase", "search"]
    assert found.visits.lengths.is_bought.sum() == 3
    assert found.visits.lengths.steps.tolist() == [4, 1, 0, 0, 1, 1]


def test_long_journeys_are_followed_in_part_and_many_are_sampled(tmp_path: Path) -> None:
    spec = parse_spec({"journeys": {"max_steps": 1}})
    found = draw(tmp_path / "steps", LOG, spec)
    assert len(found.journeys[0].queries) == 1
    assert found.counts["followed in part"] == 1
    few = parse_spec({"journeys": {"max_journeys": 1}, "evaluation": {"max_users": 2}})
    one, same = (draw(tmp_path / name, LOG, few) for name in ("one", "same"))
    assert len(one.journeys) == one.counts["sampled down"] == 1
    assert one.journeys == same.journeys
    assert one.counts["visits kept"] == len(one.visits) == 2


def test_a_period_without_a_journey_is_refused_with_the_counts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no journey to a purchase .*'no step before the purch"):
        draw(tmp_path, [*CLEO, *DAVE])


def test_what_arrived_late_was_not_known(tmp_path: Path) -> None:
    late = [replace(did, available_at=CUT + 2 * DAY) if did.item == "b" else did for did in ANN]
    (ann,) = draw(tmp_path, late).journeys
    assert ann.first_sight == (2,)
    assert [query.session for query in ann.queries] == [(), ()]


FUTURE = st.lists(
    st.builds(
        Did,
        shopper=st.sampled_from(["ann", "bob", "gus"]),
        item=st.sampled_from(["a", "d", "z"]),
        ts=st.integers(0, 2 * 24 * 60).map(lambda minute: CUT + 2 * DAY + minute * MINUTE),
        event_type=st.sampled_from([VIEW_ITEM, ADD_TO_CART, PURCHASE]),
    ),
    max_size=12,
)


@settings(max_examples=10)
@given(future=FUTURE)
def test_another_future_changes_no_journey_and_no_question_before_it(
    future: list[Did], tmp_path_factory: pytest.TempPathFactory
) -> None:
    past = [*ANN, *BOB]
    found = draw(tmp_path_factory.mktemp("more"), past + future)
    before = draw(tmp_path_factory.mktemp("less"), past)
    assert all(journey in found.journeys for journey in before.journeys)
    for journey in found.journeys:
        for query in journey.queries:
            at = round(query.at.timestamp() * MICROS_PER_SECOND)
            assert all(each.ts < at for each in (*query.history, *query.session))
