from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.terms import ADD_TO_CART, MICROS_PER_SECOND, PURCHASE, SELECT_ITEM, VIEW_ITEM
from tests.factories import DAY, HOUR, MINUTE, START, Did, write_log
from training.engine import Period
from training.engines.local import LocalEngine
from training.questions import Question, Questioner
from training.spec import TrainingSpec, parse_spec

ENGINE = LocalEngine()
CUT = START + 10 * DAY
PERIOD = Period(CUT, CUT + 9 * DAY)
DECAY = 0.5
IN_VISIT = parse_spec(
    {"split": {"asked": "in_visit"}, "ranker": {"purchase_decay": DECAY, "met_worth": 1.0}}
)
AT_CUT = parse_spec(
    {"split": {"asked": "at_cut"}, "ranker": {"purchase_decay": DECAY, "met_worth": 1.0}}
)


def questions(root: Path, done: list[Did], spec: TrainingSpec) -> list[Question]:
    root.mkdir(parents=True, exist_ok=True)
    window = ENGINE.ingest_window(write_log(root / "store", done), spec, None, root)
    return Questioner(ENGINE, window, spec, root).questions(PERIOD)


def micros(question: Question) -> int:
    return round(question.query.at.timestamp() * MICROS_PER_SECOND)


def known(question: Question) -> list[tuple[str, str, int]]:
    return [tuple(each) for each in (*question.query.history, *question.query.session)]  # type: ignore[misc]


WAY = [
    Did("ann", "a", START),
    Did("ann", "b", CUT),
    Did("ann", "c", CUT + MINUTE, SELECT_ITEM),  # a step, but no target event
    Did("ann", "c", CUT + 2 * MINUTE),
    Did("ann", "c", CUT + 3 * MINUTE, ADD_TO_CART),
    Did("ann", "c", CUT + 4 * MINUTE, PURCHASE),
    Did("ann", "d", CUT + 4 * MINUTE, PURCHASE),
    Did("ann", "e", CUT + DAY),
    Did("ann", "e", CUT + DAY + MINUTE, PURCHASE),
    Did("bob", "a", CUT + HOUR),
    Did("cleo", "a", CUT + 9 * DAY),  # after the period
]


def test_each_moment_of_a_visit_is_asked_with_what_was_known_before_it(tmp_path: Path) -> None:
    found = questions(tmp_path, WAY, IN_VISIT)
    minutes = [(micros(each) - CUT) // MINUTE for each in found]
    assert minutes == [0, 2, 3, 4, 1440, 1441]  # nothing is known at bob's first moment
    assert [len(known(each)) for each in found] == [1, 3, 4, 5, 7, 8]
    assert found[3].query.cart_items == ("c",)
    assert found[4].query.cart_items == ()


def test_what_follows_in_the_visit_is_worth_less_with_each_moment(tmp_path: Path) -> None:
    found = [dict(each.next_step) for each in questions(tmp_path, WAY, IN_VISIT)]
    assert found == [
        {"b": 1.0, "c": 0.5, "d": 0.125},
        {"c": 1.0, "d": 0.25},
        {"c": 1.0, "d": 0.5},
        {"c": 1.0, "d": 1.0},
        {"e": 1.0},
        {"e": 1.0},
    ]


def test_the_next_purchase_is_worth_less_with_each_moment_it_lies_ahead(tmp_path: Path) -> None:
    worth = [dict(each.purchase) for each in questions(tmp_path, WAY, IN_VISIT)]
    both = [{"c": DECAY**n, "d": DECAY**n} for n in (4, 2, 1, 0)]
    # The way to "e" begins after the basket.
    assert worth == [*both, {"e": DECAY}, {"e": 1.0}]


def test_a_purchase_more_than_a_week_ahead_is_not_what_the_step_led_to(tmp_path: Path) -> None:
    done = [Did("ann", "a", START), Did("ann", "a", CUT), Did("ann", "b", CUT + 7 * DAY, PURCHASE)]
    assert [dict(each.purchase) for each in questions(tmp_path, done, IN_VISIT)] == [{}, {"b": 1.0}]


def test_at_the_cut_each_shopper_is_asked_once_about_the_whole_period(tmp_path: Path) -> None:
    ann, bob = questions(tmp_path, WAY, AT_CUT)
    assert micros(ann) == micros(bob) == CUT
    assert [item for item, _, _ in known(ann)] == ["a"]
    assert known(bob) == []
    assert dict(ann.next_step) == dict.fromkeys("bcde", 1.0)
    assert dict(bob.next_step) == {"a": 1.0}
    assert dict(ann.purchase) == {"c": DECAY**4, "d": DECAY**4}


def test_what_arrived_late_is_not_known(tmp_path: Path) -> None:
    done = [Did("ann", "a", CUT - HOUR, available_at=CUT + 1), Did("ann", "b", CUT)]
    assert known(questions(tmp_path, done, IN_VISIT)[0]) == []


def test_where_nobody_did_anything_nobody_is_asked(tmp_path: Path) -> None:
    assert questions(tmp_path, [Did("ann", "a", START)], IN_VISIT) == []


def test_of_too_many_moments_a_seeded_sample_is_asked(tmp_path: Path) -> None:
    done = [Did(f"s{n % 9}", "a", CUT + n * MINUTE) for n in range(90)]
    fewer = parse_spec({"split": {"asked": "in_visit"}, "ranker": {"max_questions": 20}})
    one = questions(tmp_path / "one", done, fewer)
    assert len(one) == 20
    assert one == questions(tmp_path / "two", done, fewer)
    assert {micros(each) for each in one} < {did.ts for did in done}


EVENTS = st.lists(
    st.builds(
        Did,
        shopper=st.sampled_from(["ann", "bob"]),
        item=st.sampled_from(["a", "b", "c"]),
        ts=st.integers(-2 * 24 * 60, 9 * 24 * 60 - 1).map(lambda minute: CUT + minute * MINUTE),
        event_type=st.sampled_from([VIEW_ITEM, ADD_TO_CART, PURCHASE]),
    ),
    min_size=1,
    max_size=15,
)


@settings(max_examples=8, deadline=None)
@given(done=EVENTS, spec=st.sampled_from([IN_VISIT, AT_CUT]))
def test_nothing_at_or_after_the_moment_is_in_a_question(
    done: list[Did], spec: TrainingSpec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for question in questions(tmp_path_factory.mktemp("leak"), done, spec):
        at = micros(question)
        assert all(ts < at for _, _, ts in known(question))
        assert question.next_step
        for worths in (question.next_step, question.purchase):
            assert all(0 < worth <= 1 for worth in worths.values())
        ahead = {did.item for did in done if did.ts >= at}
        assert set(question.next_step) <= ahead
        assert set(question.purchase) <= {d.item for d in done if d.event_type == PURCHASE}
