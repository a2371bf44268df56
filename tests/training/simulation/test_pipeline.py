"""Lists from the pipeline in process: beside what a stranger would be shown, and whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.errors import InvalidInputError
from recommender.explore_settings import ExploreSettings
from recommender.pipeline import recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.terms import KINDS, OFF, VIEW_ITEM
from tests.bundles import AT, AT_MICROS, shop_arrays, shop_bundle, shop_info, viewed, way_arrays
from tests.training.simulation.shops import spec_of
from training.simulation.encode import Encoder
from training.simulation.pipeline import (
    Answering,
    PipelineRecommender,
    answering,
    beyond_default,
    question_of,
)
from training.simulation.recommenders import PageContext
from training.simulation.recorder import EventChunk
from training.simulation.shop import Shop

BUNDLE = shop_bundle()
PLACE = Placement("home", limit=8)
CONTEXT = PageContext(
    at=AT_MICROS,
    visitor_id="ann",
    user_id=None,
    session_id="ann.1",
    device="mobile",
    placement="search",
    item_id=None,
    category=None,
    search_term="rake",
    cart_items=("item-03",),
    limit=8,
)


def shown(query: Query) -> list[str]:
    return [item.item_id for item in recommend(query, BUNDLE, PLACE, TopPolicy()).items]


def test_a_strangers_list_differs_from_itself_in_nothing() -> None:
    stranger = Query(AT, "home", 8)
    assert beyond_default(shown(stranger), stranger, BUNDLE, PLACE) == 0


def test_what_differs_is_what_a_list_of_the_same_length_does_not_hold() -> None:
    known = Query(AT, "home", 8, session=viewed(1, 3, 5))
    default = shown(known.but(personalize=OFF))
    own = shown(known)
    assert beyond_default(own, known, BUNDLE, PLACE) == len(set(own) - set(default)) > 0
    # Another order of the same items is no difference; a shorter list meets a shorter default.
    assert beyond_default(default[::-1], known, BUNDLE, PLACE) == 0
    assert beyond_default(default[:1], known, BUNDLE, PLACE) == 0
    assert beyond_default(default[7:], known, BUNDLE, PLACE) == 1
    assert beyond_default([], known, BUNDLE, PLACE) == 0


def test_some_lists_are_compared_the_same_ones_every_time() -> None:
    page = replace(CONTEXT, cart_items=())
    pages = [replace(page, at=AT_MICROS + 60_000_000 * minute) for minute in range(400)]
    found = []
    for _ in range(2):
        loop = PipelineRecommender(Answering("file", BUNDLE, {"category": Placement("category")}))
        for page in pages:
            loop(page)
        found.append((dict(loop.compared), dict(loop.changed), loop.asked))
    assert found[0] == found[1]
    assert 0.5 < found[0][0]["ann"] / 8 / (400 / 8) < 2
    assert found[0][1]["ann"] == 0  # nothing is known of ann
    assert found[0][2] == 400


def test_a_question_says_where_it_comes_from() -> None:
    asked = question_of(CONTEXT, Placement("category", personalize="light"))
    assert (asked.placement, asked.page_type, asked.device) == ("category", "search", "mobile")
    assert (asked.personalize, asked.cart_items, asked.limit) == ("light", ("item-03",), 8)
    assert asked.at - AT == timedelta(0)


def test_events_of_a_shop_without_an_encoder_are_an_error() -> None:
    loop = PipelineRecommender(Answering("file", BUNDLE, {"category": PLACE}))
    shop = Shop(spec_of(shoppers=50, days=1, items=20), np.random.default_rng(0), None, loop.hear)
    next(shop.days())
    with pytest.raises(InvalidInputError, match="no encoder yet"):
        loop(CONTEXT)


def test_events_are_known_at_the_next_question() -> None:
    loop = PipelineRecommender(Answering("file", BUNDLE, {"category": PLACE}))
    heard: list[EventChunk] = []
    spec = spec_of(shoppers=50, days=1, items=20)
    shop = Shop(spec, np.random.default_rng(0), None, heard.append)
    next(shop.days())
    loop.encoder = Encoder(shop.catalogue, shop.identity)
    views = next(chunk for chunk in heard if chunk.event_type == VIEW_ITEM and len(chunk) > 1)
    event = loop.encoder.events(views)[0]
    page = replace(CONTEXT, visitor_id=event.visitor_id, at=event.ts)
    assert loop.query(page, PLACE).session == ()
    loop.hear(views)
    viewed_now = Interaction(event.items[0].item_id, VIEW_ITEM, event.ts)
    assert loop.query(page, PLACE).session == loop.query(page, PLACE).visit.events == (viewed_now,)


def test_ways_do_not_count_as_changed_items() -> None:
    bundle = bundle_of(shop_arrays() | way_arrays(), BundleManifest.describe(shop_info(), {}))
    place = replace(PLACE, kinds=KINDS)
    stranger = Query(AT, "home", 8, personalize=OFF)
    slate = recommend(stranger, bundle, place, TopPolicy())
    assert slate.ways
    items = [item.item_id for item in slate.items]
    assert beyond_default(items, stranger, bundle, place) == 0


def test_an_exploring_answer_is_seeded_by_its_page() -> None:
    explore = ExploreSettings(epsilon=1.0)
    places = {"home": replace(PLACE, explore=explore), "category": replace(PLACE, explore=explore)}
    way, plain = answering("explore", BUNDLE, places), answering("file", BUNDLE, places)
    assert isinstance(way, Answering)
    assert isinstance(plain, Answering)
    loop, usual = PipelineRecommender(way), PipelineRecommender(plain)
    pages = [replace(CONTEXT, placement="home", at=CONTEXT.at + step) for step in range(20)]
    lists = [tuple(loop(page)) for page in pages]
    assert lists == [tuple(PipelineRecommender(way)(page)) for page in pages]
    assert len({items[-1] for items in lists}) > 1
    assert {items[:-1] for items in lists} == {tuple(usual(pages[0]))[:-1]}


def test_an_objective_and_where_to_go_are_asked_for_together() -> None:
    places = read_placements()
    both = answering("path+ways", BUNDLE, places)
    assert isinstance(both, Answering)
    assert both.placements is not None
    assert {place.objective for place in both.placements.values()} == {"path"}
    assert {place.kinds for place in both.placements.values()} == {KINDS}
    with pytest.raises(InvalidInputError, match=r"path\+ways"):
        answering("popularity+ways", BUNDLE, places)
