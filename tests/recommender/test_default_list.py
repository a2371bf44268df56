"""Lists of anybody that are kept: what is taken from them is what would be made anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import pipeline
from recommender.bundle import DEFAULTS_KEPT
from recommender.default_list import question_of
from recommender.merchandising import active, boosts
from recommender.merchandising.active import NO_RULES, BoundRules
from recommender.personalisation import is_personal
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.slate import Slate, SlateWay
from recommender.terms import DISMISS
from tests.bundles import AT, AT_MICROS, knowing_bundle, viewed
from tests.recommender.merchandising.shop import bound

BUNDLE = knowing_bundle()
PLACES = {name: replace(each, max_changed_share=0.5) for name, each in read_placements().items()}
item_ids = st.integers(0, 21).map("item-{:02d}".format)
dismissals = st.lists(item_ids, max_size=20).map(
    lambda items: tuple(Interaction(item, DISMISS, AT_MICROS - 1) for item in items)
)
queries = st.builds(
    Query,
    at=st.just(AT),
    placement=st.just("p"),
    limit=st.integers(1, 20),
    session=st.sampled_from([viewed(2, 4, 2), viewed(1, 3, 5)]),
    history=dismissals,
    context_items=st.lists(item_ids, max_size=2).map(tuple),
    category=st.sampled_from([None, "garden/seeds", "kitchen"]),
)
places = st.sampled_from(sorted(PLACES)).map(PLACES.__getitem__)
KITCHEN = 'category = "kitchen"'
ORDERING: tuple[Mapping[str, object], ...] = (
    {"kind": "boost", "where": KITCHEN, "factor": 3},
    {"kind": "bury", "where": "price < 1.5 * context.price", "factor": 0.4},
    {"kind": "diversity", "level": "medium"},
    {"kind": "calibration", "strength": 0.5, "min_history": 1},
    {"kind": "pin", "items": {"item-19": 2, "item-03": 4}},
    {"kind": "promotion", "where": 'category = "garden"', "share": 0.4, "from_position": 2},
    {"kind": "constraint", "per": "category", "at_most": 2},
)
EXCLUDING: tuple[Mapping[str, object], ...] = (
    {"kind": "exclude", "where": 'category = "garden/seeds"'},
    {"kind": "exclude", "where": KITCHEN, "when": 'context.device = "phone"'},
    {"kind": "price_band", "around": "cart", "low": 0.5, "high": 2},
)
any_rules = st.sets(st.sampled_from(range(10)), max_size=4).map(
    lambda numbers: bound(*((*ORDERING, *EXCLUDING)[n] for n in sorted(numbers)), bundle=BUNDLE)
)


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    BUNDLE.defaults.clear()
    yield
    BUNDLE.defaults.clear()


def entries(slate: Slate) -> list[tuple[str, str | None]]:
    return [
        (each.kind, each.target if isinstance(each, SlateWay) else each.item_id)
        for each in slate.entries
    ]


def answered(asked: Query, place: Placement, rules: BoundRules) -> list[tuple[str, str | None]]:
    return entries(recommend(asked, BUNDLE, place, TopPolicy(), rules))


def answered_anew(
    asked: Query, place: Placement, rules: BoundRules
) -> list[tuple[str, str | None]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "question_of", lambda *_: None)
        return answered(asked, place, rules)


@pytest.mark.parametrize("spare", [0, 2, 100])
def test_a_kept_list_changes_no_answer(spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SPARE", spare)

    @given(queries, places)
    def check(asked: Query, place: Placement) -> None:
        answers = [answered(asked, place, NO_RULES) for _ in range(2)]
        anew = answered_anew(asked, place, NO_RULES)
        assert answers == [anew, anew]

    check()


@pytest.mark.parametrize("window", [200, 6])
def test_nor_does_one_that_rules_have_a_hand_in(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (pipeline, active, boosts):
        monkeypatch.setattr(module, "WINDOW", window)

    @given(queries, queries, places, any_rules)
    def check(first: Query, asked: Query, place: Placement, rules: BoundRules) -> None:
        answered(first, place, rules)
        assert answered(asked, place, rules) == answered_anew(asked, place, rules)

    check()


def test_it_is_made_once_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    made = times_opened(monkeypatch)
    for session in (viewed(2, 4, 2), viewed(1, 3, 5), viewed(7)):
        asked = Query(at=AT, placement="home", limit=5, session=session)
        recommend(asked, BUNDLE, PLACES["home"], TopPolicy())
    assert len(made) == 3 + 1


def test_lists_of_other_places_and_pages_are_told_apart() -> None:
    pages = [
        Query(at=AT, placement="home", limit=5),
        Query(at=AT, placement="home", limit=6),
        Query(at=AT, placement="home", limit=5, context_items=("item-03",)),
        Query(at=AT, placement="home", limit=5, category="kitchen"),
        Query(at=AT, placement="home", limit=5, kinds=("item",)),
    ]
    found = {question_of(page, place) for page in pages for place in PLACES.values()}
    assert len(found) == len(pages) * len(PLACES)


@pytest.mark.parametrize(
    "part", [{"filter": "price < 5"}, {"exclude_items": frozenset({"item-01"})}, {"diversity": 0.5}]
)
def test_rare_questions_are_not_kept(part: dict[str, object]) -> None:
    asked = Query(at=AT, placement="home", limit=5, session=viewed(2, 4), **part)  # type: ignore[arg-type]
    recommend(asked, BUNDLE, PLACES["home"], TopPolicy())
    assert not BUNDLE.defaults


def times_opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    made: list[int] = []
    opened = pipeline.opened
    monkeypatch.setattr(pipeline, "opened", lambda *a, **k: made.append(1) or opened(*a, **k))
    return made


@pytest.mark.parametrize("rule", [*ORDERING, EXCLUDING[0]])
def test_a_list_by_rules_is_made_once_for_all_who_may_see_what_they_chose_from(
    rule: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, rules = times_opened(monkeypatch), bound(rule, bundle=BUNDLE)
    place = replace(PLACES["home"], exclude=("dismissed",))
    for session in (viewed(2, 4, 2), viewed(1, 3, 5), viewed(7)):
        answered(Query(at=AT, placement="home", limit=5, session=session), place, rules)
    assert len(made) == 3 + 1


def test_one_that_rules_ordered_is_made_anew_where_they_would_have_chosen_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, rules = times_opened(monkeypatch), bound(ORDERING[0], bundle=BUNDLE)
    place = replace(PLACES["home"], exclude=("dismissed",))
    best = BUNDLE.catalogue.ids.id(int(BUNDLE.catalogue.popular_order[0]))
    for history in ((), (Interaction(best, DISMISS, AT_MICROS - 1),)):
        session = viewed(2, 4)
        asked = Query(at=AT, placement="home", limit=5, session=session, history=history)
        answered(asked, place, rules)
    assert len(made) == 2 + 2


def test_rules_of_another_file_or_page_make_another_list() -> None:
    by_device = {"kind": "boost", "where": 'category = "garden"', "factor": 20}
    by_device["when"] = 'context.device = "phone"'
    boosting, burying = (
        bound({"kind": kind, "where": KITCHEN, "factor": factor}, by_device, bundle=BUNDLE)
        for kind, factor in (("boost", 20), ("bury", 0.05))
    )
    place = replace(PLACES["home"], max_changed_share=0)
    asked = Query(at=AT, placement="home", limit=8, session=viewed(2, 4))
    lists = [
        answered(asked.but(device=device), place, rules)
        for rules in (boosting, burying, boosting)
        for device in (None, "phone")
    ]
    assert lists[:2] == lists[4:]
    assert lists[1] != lists[0] != lists[2]


def test_nothing_as_large_as_the_catalogue_is_kept_with_a_list() -> None:
    rules = bound(ORDERING[0], EXCLUDING[0], EXCLUDING[2], bundle=BUNDLE)
    answered(Query(at=AT, placement="home", limit=5, session=viewed(2, 4)), PLACES["home"], rules)
    (kept,) = BUNDLE.defaults.values()
    assert kept.chosen.active.rules == rules.rules.rules
    assert not kept.chosen.active.bound.masks
    assert not kept.chosen.eligibility.mask.size


def test_no_more_lists_are_kept_than_allowed() -> None:
    for number in range(DEFAULTS_KEPT + 5):
        asked = Query(at=AT, placement="home", limit=5, session=viewed(2, 4), page_type=f"{number}")
        assert is_personal(asked)
        recommend(asked, BUNDLE, PLACES["home"], TopPolicy())
    assert len(BUNDLE.defaults) == DEFAULTS_KEPT
