"""Lists of anybody that are kept: what is taken from them is what would be made anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender import pipeline
from recommender.bundle import DEFAULTS_KEPT
from recommender.default_list import question_of
from recommender.personalisation import is_personal
from recommender.pipeline import recommend
from recommender.placements import read_placements
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


@pytest.mark.parametrize("spare", [0, 2, 100])
def test_a_kept_list_changes_no_answer(spare: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SPARE", spare)

    @given(queries, places)
    def check(asked: Query, place: object) -> None:
        answers = [entries(recommend(asked, BUNDLE, place, TopPolicy())) for _ in range(2)]  # type: ignore[arg-type]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pipeline, "question_of", lambda *_: None)
            anew = entries(recommend(asked, BUNDLE, place, TopPolicy()))  # type: ignore[arg-type]
        assert answers == [anew, anew]

    check()


def test_it_is_made_once_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    opened = pipeline.opened
    monkeypatch.setattr(pipeline, "opened", lambda *a, **k: made.append(1) or opened(*a, **k))
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


def test_what_rules_have_a_hand_in_is_not_kept() -> None:
    rules = bound({"kind": "exclude", "where": 'category = "kitchen"'}, bundle=BUNDLE)
    asked = Query(at=AT, placement="home", limit=5, session=viewed(2, 4))
    recommend(asked, BUNDLE, PLACES["home"], TopPolicy(), rules)
    assert not BUNDLE.defaults


def test_no_more_lists_are_kept_than_allowed() -> None:
    for number in range(DEFAULTS_KEPT + 5):
        asked = Query(at=AT, placement="home", limit=5, session=viewed(2, 4), page_type=f"{number}")
        assert is_personal(asked)
        recommend(asked, BUNDLE, PLACES["home"], TopPolicy())
    assert len(BUNDLE.defaults) == DEFAULTS_KEPT
