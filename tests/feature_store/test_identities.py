from __future__ import annotations

from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.identities import find_links, with_shopper_id
from feature_store.layout import StoreLayout
from feature_store.tables import read_interactions
from tests.tabling import DAY, START, bring_in, frame, row


def shoppers(layout: StoreLayout, **window: date) -> dict[str, str]:
    rows = read_interactions(layout, **window).collect()
    return dict(zip(rows["event_id"], rows["shopper_id"], strict=True))


def identify(event_id: str, ts: int, visitor: str, user: str) -> dict[str, object]:
    return row(event_id, ts, visitor, event_type="identify", item_id=None, user_id=user)


def test_without_a_login_the_visitor_is_the_shopper(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, "v")])
    assert shoppers(layout) == {"a": "v"}


def test_history_before_and_after_identify_belongs_to_the_user(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [row("a", START, "v"), identify("b", START + 1, "v", "u"), row("c", START + 2 * DAY)]
    bring_in(layout, rows)
    assert shoppers(layout) == {"a": "u", "b": "u", "c": "u"}


def test_a_purchase_while_logged_in_links_as_identify_does(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, event_type="purchase", user_id="u"), row("b", START + 1)])
    assert shoppers(layout) == {"a": "u", "b": "u"}


def test_two_devices_of_one_user_are_one_shopper_and_no_row_is_doubled(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [identify("a", START, "phone", "u"), identify("b", START, "laptop", "u")]
    rows += [row("c", START + 1, "phone"), row("d", START + 2, "laptop")]
    bring_in(layout, rows)
    assert shoppers(layout) == dict.fromkeys("abcd", "u")


def test_a_shared_visitor_belongs_to_each_user_for_their_interval(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [
        row("before", START),
        identify("in1", START + 10, "v", "ann"),
        row("ann", START + 20),
        identify("in2", START + 30, "v", "bob"),
        row("bob", START + DAY),
        identify("in3", START + 2 * DAY, "v", "ann"),
        row("again", START + 3 * DAY),
        row("own", START + 25, user_id="carl"),
    ]
    bring_in(layout, rows)
    found = shoppers(layout)
    assert found["before"] == found["ann"] == found["again"] == "ann"
    assert found["bob"] == "bob"
    assert found["own"] == "carl"


def test_within_the_moment_of_a_link_event_ids_say_what_came_first(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [identify("b", START, "v", "ann"), identify("d", START + 10, "v", "bob")]
    rows += [identify("g", START + 10, "v", "ann"), row("f", START + 10), row("h", START + 10)]
    bring_in(layout, [*rows, row("a", START + 10), row("e", START + 9), row("i", START + 11)])
    found = shoppers(layout)
    assert (found["a"], found["f"], found["h"]) == ("ann", "bob", "ann")
    assert (found["e"], found["i"]) == ("ann", "ann")


def test_links_after_the_window_are_not_looked_at(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, "v"), identify("b", START + DAY, "v", "u")])
    first = date(2026, 3, 1)
    assert shoppers(layout, end=first) == {"a": "v"}
    assert shoppers(layout, start=first) == {"a": "u", "b": "u"}


def test_links_before_the_window_are_known(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [identify("a", START, "v", "u"), row("b", START + DAY, "v")])
    assert shoppers(layout, start=date(2026, 3, 2)) == {"b": "u"}


def test_only_changes_are_links():
    users = [None, "u", "u", None, "u", "w", "u"]
    rows = frame(row(str(n), START + n, user_id=user) for n, user in enumerate(users))
    links = find_links(rows)
    assert links["user_id"].to_list() == ["u", "w", "u"]
    assert links["ts"].to_physical().to_list() == [START + 1, START + 5, START + 6]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from("vw"), st.sampled_from([None, None, None, "ann", "bob"])),
        min_size=1,
        max_size=20,
    )
)
def test_shoppers_follow_their_definition(events):
    rows = frame(row(str(n), START + n, v, user_id=user) for n, (v, user) in enumerate(events))
    first: dict[str, str] = {}
    for visitor, user in events:
        if user is not None:
            first.setdefault(visitor, user)
    expected, current = [], dict(first)
    for visitor, user in events:
        if user is not None:
            current[visitor] = user
        expected.append(current.get(visitor, visitor))
    found = with_shopper_id(rows.lazy(), find_links(rows)).collect()
    assert found["shopper_id"].to_list() == expected
    assert found.drop("shopper_id").equals(rows)


def test_every_row_has_a_shopper_in_the_streaming_engine_too(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [identify("a", START, "v", "ann"), identify("b", START + 5, "v", "bob")]
    bring_in(layout, [*rows, *(row(f"r{n}", START + n) for n in range(100))])
    rows = read_interactions(layout)
    streamed = rows.collect(engine="streaming").sort("ts", "event_id")
    assert streamed.equals(rows.collect())
    assert streamed["shopper_id"].null_count() == 0
    assert streamed.filter(pl.col("shopper_id") == "bob").height == 96
