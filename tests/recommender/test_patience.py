"""A question with little time gets an answer of fewer stages, and says which were left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.patience import ENDLESS, Patience
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.slate import Slate
from recommender.terms import DISMISS
from tests.bundles import AT, AT_MICROS, knowing_bundle, viewed
from tests.rankers import ranked_bundle

BUNDLE = knowing_bundle()
PLACES = {name: replace(each, max_changed_share=0.5) for name, each in read_placements().items()}
HOME = PLACES["home"]


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Iterator[None]:
    BUNDLE.defaults.clear()
    yield
    BUNDLE.defaults.clear()


def after(stages: int) -> Patience:
    """The time is up when it was asked for so often."""
    asked = iter(range(1_000))
    return Patience(lambda: next(asked) >= stages)


def query(stages: int | None = None, **parts: object) -> Query:
    known = {"at": AT, "placement": "p", "limit": 6, "session": viewed(2, 4, 2)} | parts
    return Query(**known, patience=ENDLESS if stages is None else after(stages))  # type: ignore[arg-type]


def ask(asked: Query, place: Placement = HOME) -> Slate:
    return recommend(asked, BUNDLE, place, TopPolicy())


def items(slate: Slate) -> list[str]:
    return [each.item_id for each in slate.items]


def test_with_time_enough_nothing_changes() -> None:
    asked = query(1_000)
    assert items(ask(asked)) == items(ask(query()))
    assert not asked.patience.skipped


def test_without_any_time_it_is_the_ladder() -> None:
    asked = query(0)
    found = ask(asked)
    assert found.fallback_level in {"popular", "popular_in_category"}
    assert len(found.items) == 6
    assert asked.patience.skipped == [next(iter(BUNDLE.sources)), "default"]


def test_what_comes_late_keeps_the_sources_that_were_asked() -> None:
    ask(query())  # what anybody gets is at hand
    asked = query(3)
    assert ask(asked).fallback_level == "session"
    assert asked.patience.skipped == [list(BUNDLE.sources)[3]]


def test_nothing_personal_is_shown_where_its_share_cannot_be_told() -> None:
    asked = query(len(BUNDLE.sources))
    found = ask(asked)
    assert asked.patience.skipped == ["default"]
    assert found.fallback_level == "popular"


def test_too_late_for_the_ranker_the_blend_decides() -> None:
    bundle = ranked_bundle()
    place = replace(HOME, max_changed_share=1.0)
    sources = sum(1 for name in bundle.sources if not place.sources or name in place.sources)
    asked = query(sources)
    found = recommend(asked, bundle, place, TopPolicy())
    assert asked.patience.skipped == ["ranker"]
    assert found.fallback_level == "session"


def test_a_hurried_default_is_kept_for_nobody() -> None:
    ask(query(0))
    assert not BUNDLE.defaults
    whole = items(ask(query()))
    BUNDLE.defaults.clear()
    assert items(ask(query())) == whole


@given(
    st.integers(0, 30),
    st.sampled_from(sorted(PLACES)),
    st.sets(st.integers(0, 19).map("item-{:02d}".format), max_size=10),
    st.lists(st.integers(0, 19).map("item-{:02d}".format), max_size=2),
)
def test_any_deadline_gets_an_answer_that_keeps_its_promises(
    stages: int, place: str, dismissed: set[str], page: list[str]
) -> None:
    history = tuple(Interaction(item, DISMISS, AT_MICROS - 1) for item in sorted(dismissed))
    found = ask(query(stages, history=history, context_items=tuple(page)), PLACES[place])
    assert found.items
    shown = items(found)
    assert len(set(shown)) == len(shown)
    if "dismissed" in PLACES[place].exclude:
        assert not dismissed.intersection(shown)
    assert found.changed_share is None or found.changed_share <= 0.5
    assert all(np.isfinite(each.score) for each in found.items)
