"""Whatever a shopper does between two answers, no cap is exceeded and no dismissal forgotten."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_event
from feature_store.online.known import known_of
from feature_store.online.state import VisitorState, micros
from feature_store.online.state_codec import decode_state, encode_state
from recommender.exposures import DAY_MICROS, WEEK_MICROS
from recommender.fatigue_settings import FatigueSettings
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.terms import DISMISS, SELECT_ITEM, VIEW_ITEM_LIST
from tests.bundles import AT, shop_bundle, shop_items

BUNDLE = shop_bundle()
BRANDS = {item.item_id: item.brand for item in shop_items()}
GAP = timedelta(minutes=30)
CAPS = FatigueSettings(
    discount=True,
    item_per_session=2,
    item_per_week=3,
    brand_share=0.5,
    brand_per_session=6,
    session_budget=3,
    day_budget=5,
)
PLACES = {
    "home": Placement("home", exclude=("dismissed",), fatigue=CAPS),
    "item": Placement("item", exclude=("dismissed",), fatigue=replace(CAPS, when_spent="empty")),
}
actions = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "click", "dismiss", "wait", "tomorrow"]),
        st.sampled_from(sorted(PLACES)),
        st.integers(0, 5),
    ),
    max_size=40,
)


class Shopper:
    """Somebody who asks, sees, clicks and dismisses, and a plain diary of it."""

    def __init__(self) -> None:
        self.at = AT
        self.state = VisitorState()
        self.listed: list[str] = []
        self.shown: dict[str, list[int]] = defaultdict(list)
        self.touched: dict[str, int] = {}
        self.dismissed: dict[str, int] = {}
        self.ignored_lists: list[int] = []
        self.session = micros(AT)
        self.last = micros(AT)
        self.number = 0

    def do(self, event_type: str, *items: str, placement: str | None = None) -> None:
        self.arrive()
        self.number += 1
        event = InteractionEvent(
            f"e{self.number}",
            event_type,
            micros(self.at),
            "v",
            items=tuple(EventItem(item) for item in items),
            placement=placement,
            recommendation_id=placement and f"r{self.number}",
        )
        self.state = apply_event(self.state, event)
        assert decode_state(encode_state(self.state)) == self.state
        self.last = micros(self.at)
        self.at += timedelta(seconds=1)

    def arrive(self) -> int:
        now = micros(self.at)
        if now - self.last > GAP // timedelta(microseconds=1):
            self.session = now
        return now

    def ask(self, name: str) -> None:
        now = self.arrive()
        known = known_of(self.state, self.at, GAP)
        query = Query(
            self.at,
            name,
            6,
            known.history,
            known.session,
            exposures=known.exposures,
            ignored_lists=known.ignored_lists,
        )
        slate = recommend(query, BUNDLE, PLACES[name], TopPolicy())
        self.listed = [item.item_id for item in slate.items]
        self.check(name, now)
        if self.listed:
            self.do(VIEW_ITEM_LIST, *self.listed, placement=name)
            for item in self.listed:
                self.shown[item].append(now)
            self.ignored_lists.append(now)

    def check(self, name: str, now: int) -> None:
        brands: Counter[str | None] = Counter()
        for item, times in self.shown.items():
            ignored = [ts for ts in times if ts > self.touched.get(item, -1)]
            in_session = sum(ts >= self.session for ts in ignored)
            brands[BRANDS[item]] += in_session
            if item in self.listed:
                assert in_session < CAPS.item_per_session
                assert sum(ts > now - WEEK_MICROS for ts in ignored) < CAPS.item_per_week
        assert all(brands[BRANDS[item]] < CAPS.brand_per_session for item in self.listed)
        shares = Counter(BRANDS[item] for item in self.listed)
        assert max(shares.values(), default=0) <= 3
        assert not self.dismissed.keys() & set(self.listed)
        in_session = sum(ts >= self.session for ts in self.ignored_lists)
        in_day = sum(ts > now - DAY_MICROS for ts in self.ignored_lists)
        if in_session >= CAPS.session_budget or in_day >= CAPS.day_budget:
            assert name == "home" or self.listed == []

    def click(self, place: int) -> None:
        if self.listed:
            item = self.listed[place % len(self.listed)]
            self.touched[item] = micros(self.at)
            self.ignored_lists = []
            self.do(SELECT_ITEM, item, placement="home")

    def dismiss(self, place: int) -> None:
        if self.listed:
            item = self.listed[place % len(self.listed)]
            self.touched[item] = self.dismissed[item] = micros(self.at)
            self.do(DISMISS, item)


@settings(max_examples=60)
@given(actions)
def test_no_cap_is_exceeded_in_any_sequence(plan: list[tuple[str, str, int]]) -> None:
    shopper = Shopper()
    for action, name, number in plan:
        if action == "ask":
            shopper.ask(name)
        elif action == "click":
            shopper.click(number)
        elif action == "dismiss":
            shopper.dismiss(number)
        else:
            shopper.at += timedelta(minutes=17 * number) if action == "wait" else timedelta(days=1)


def test_the_best_sellers_go_round_for_who_ignores_them() -> None:
    shopper = Shopper()
    lists = []
    place = read_placements()["home"]
    for _ in range(6):
        known = known_of(shopper.state, shopper.at, GAP)
        query = Query(shopper.at, "home", 4, exposures=known.exposures)
        slate = recommend(query, BUNDLE, place, TopPolicy())
        lists.append(tuple(item.item_id for item in slate.items))
        shopper.do(VIEW_ITEM_LIST, *lists[-1], placement="home")
    assert len({item for each in lists for item in each}) > 8
    assert all(one != two for one, two in pairwise(lists))


def test_a_dismissal_is_forgotten_after_ninety_days_and_harms_no_brand() -> None:
    shopper = Shopper()
    shopper.ask("home")
    first = shopper.listed[0]
    shopper.dismiss(0)
    known = known_of(shopper.state, shopper.at, GAP)
    assert first not in {each.item_id for each in known.exposures}
    shopper.at += timedelta(days=89)
    kept = shopper.state.at(shopper.at)
    assert first in kept.dismissed_items
    assert first not in shopper.state.at(shopper.at + timedelta(days=2)).dismissed_items
