from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import DataError
from recommender.terms import MICROS_PER_SECOND, PURCHASE, VIEW_ITEM
from tests.factories import DAY, HOUR, MINUTE, START, Did, write_log
from training.engine import Period
from training.engines.local import LocalEngine
from training.spec import TrainingSpec, parse_spec
from training.split import HoldOut, Sampling, find_cuts, hold_out

ENGINE = LocalEngine()
CUT = START + 10 * DAY
PERIOD = Period(CUT, CUT + 5 * DAY)


def draw(
    root: Path,
    done: list[Did],
    spec: TrainingSpec | None = None,
    sampling: Sampling | None = None,
) -> HoldOut:
    spec = spec or TrainingSpec()
    root.mkdir(parents=True, exist_ok=True)
    window = ENGINE.ingest_window(write_log(root / "store", done), spec, None, root)
    return hold_out(ENGINE, window, spec, PERIOD, sampling or Sampling(100, 0), root)


def test_the_last_days_are_for_the_report_and_those_before_for_the_blend() -> None:
    spec = parse_spec({"split": {"validation_days": 7, "test_days": 14}})
    cuts = find_cuts(Period(START, START + 300 * DAY), spec)
    assert (cuts.validation, cuts.test, cuts.end) == (
        START + 279 * DAY,
        START + 286 * DAY,
        START + 300 * DAY,
    )
    assert cuts.validation_period.end == cuts.test_period.start


def test_in_a_short_log_each_period_is_a_share_of_it() -> None:
    cuts = find_cuts(Period(START, START + 10 * DAY), parse_spec({"split": {"max_share": 0.2}}))
    assert (cuts.validation, cuts.test) == (START + 6 * DAY, START + 8 * DAY)


LOG = [
    Did("ann", "a", START),
    Did("ann", "b", CUT - 10 * MINUTE),
    Did("ann", "b", CUT - 1, PURCHASE),
    Did("ann", "c", CUT, PURCHASE),
    Did("ann", "d", CUT + DAY),
    Did("ann", "d", CUT + 2 * DAY),
    Did("ann", "e", CUT + 5 * DAY),
    Did("bob", "a", CUT + DAY, PURCHASE),
    Did("cleo", "a", START, PURCHASE),
]


def test_a_shopper_is_asked_for_with_the_past_and_judged_by_the_future(tmp_path: Path) -> None:
    found = draw(tmp_path, LOG)
    assert found.shopper_ids == ("ann", "bob")
    ann, bob = found.queries
    assert ann.at.timestamp() * MICROS_PER_SECOND == CUT
    assert [(i.item_id, i.event_type) for i in ann.history] == [("a", VIEW_ITEM)]
    assert [(i.item_id, i.event_type) for i in ann.session] == [("b", VIEW_ITEM), ("b", PURCHASE)]
    assert found.targets == (frozenset({"c", "d"}), frozenset({"a"}))
    assert (bob.history, bob.session) == ((), ())
    assert found.shoppers_in_period == 2


def test_only_the_target_events_count(tmp_path: Path) -> None:
    found = draw(tmp_path, LOG, parse_spec({"split": {"target_events": ["purchase"]}}))
    assert found.targets == (frozenset({"c"}), frozenset({"a"}))


def test_in_visit_asks_just_before_an_own_event(tmp_path: Path) -> None:
    found = draw(tmp_path, LOG, parse_spec({"split": {"asked": "in_visit"}}))
    moments = {
        "ann": {CUT, CUT + DAY, CUT + 2 * DAY},
        "bob": {CUT + DAY},
    }
    for shopper, query, wanted in zip(found.shopper_ids, found.queries, found.targets, strict=True):
        at = round(query.at.timestamp() * MICROS_PER_SECOND)
        assert at in moments[shopper]
        later = {d.item for d in LOG if d.shopper == shopper and at <= d.ts < PERIOD.end}
        assert wanted == later
    assert found.asked == "in_visit"


def test_a_long_past_is_cut_to_its_last_events(tmp_path: Path) -> None:
    done = [Did("ann", f"item-{hour}", START + hour * HOUR) for hour in range(9)]
    spec = parse_spec({"seeds": {"max_history": 3}})
    found = draw(tmp_path, [*done, Did("ann", "x", CUT)], spec)
    assert [i.item_id for i in found.queries[0].history] == ["item-6", "item-7", "item-8"]


def test_a_sample_is_drawn_by_its_seed(tmp_path: Path) -> None:
    done = [Did(f"s{n:02d}", "a", CUT + HOUR) for n in range(40)] + [Did("s00", "b", START)]
    one, same, other = (
        draw(tmp_path / str(n), done, sampling=Sampling(10, seed))
        for n, seed in enumerate((1, 1, 2))
    )
    assert one.shopper_ids == same.shopper_ids != other.shopper_ids
    assert len(one) == 10
    assert one.shoppers_in_period == 40


def test_a_period_without_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no event of view_item, add_to_cart, purchase"):
        draw(tmp_path, [Did("ann", "a", START)])


FUTURE = st.lists(
    st.builds(
        Did,
        shopper=st.sampled_from(["ann", "bob"]),
        item=st.sampled_from(["a", "b", "z"]),
        ts=st.integers(0, 5 * 24 * 60 - 1).map(lambda minute: CUT + minute * MINUTE),
        event_type=st.sampled_from([VIEW_ITEM, PURCHASE]),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=10)
@given(future=FUTURE, asked=st.sampled_from(["at_cut", "in_visit"]))
def test_nothing_at_or_after_the_moment_of_asking_is_in_a_query(
    future: list[Did], asked: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    past = [d for d in LOG if d.ts < CUT]
    spec = parse_spec({"split": {"asked": asked}})
    found = draw(tmp_path_factory.mktemp("leak"), past + future, spec)
    for shopper, query in zip(found.shopper_ids, found.queries, strict=True):
        at = round(query.at.timestamp() * MICROS_PER_SECOND)
        known = [(i.item_id, i.ts) for i in (*query.history, *query.session)]
        assert all(ts < at for _, ts in known)
        expected = [(d.item, d.ts) for d in past + future if d.shopper == shopper and d.ts < at]
        assert sorted(known) == sorted(expected)
