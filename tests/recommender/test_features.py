from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.features import MAX_MET, FeatureMaker, way_of
from recommender.pipeline import find_seeds, propose, shortlisted
from recommender.placements import Placement
from recommender.query import Interaction, Query
from recommender.ranker import feature_maker
from recommender.ranking import Proposed, blend
from recommender.rules import eligible_items
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.terms import ADD_TO_CART, PURCHASE, VIEW_ITEM
from tests.bundles import AT, AT_MICROS, MINUTE, viewed
from tests.rankers import STATS, ranked_bundle, ranked_parts
from tests.recommender.features_by_hand import differences, rows_by_hand

BUNDLE = ranked_bundle()
NEXT = Placement("next", exclude=("dismissed",))


def maker_of(bundle: ModelBundle) -> FeatureMaker:
    return feature_maker(bundle.arrays, bundle.catalogue, bundle.sources, STATS)


MAKER = maker_of(BUNDLE)


def asked(query: Query, bundle: ModelBundle = BUNDLE) -> tuple[Proposed, Seeds]:
    """What the pipeline hands to the ranker."""
    weights = bundle.manifest.info.blend
    _, seeds = find_seeds(query, bundle, NEXT)
    proposed = propose(seeds, bundle, NEXT, eligible_items(query, bundle.catalogue, NEXT))
    return shortlisted(blend(proposed, weights, 50)), seeds


def query(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "next"} | parts))  # type: ignore[arg-type]


def column(rows: np.ndarray, name: str) -> np.ndarray:
    return rows[:, MAKER.names.index(name)]


def features_of(question: Query) -> tuple[np.ndarray, list[int]]:
    proposed, seeds = asked(question)
    return MAKER.features(proposed, seeds), proposed.item_idx.tolist()


def steps(most: int, minutes: list[int]) -> st.SearchStrategy[list[tuple[int, str, int]]]:
    """Steps of (item, type, minutes since the step before)."""
    types = st.sampled_from([VIEW_ITEM, VIEW_ITEM, ADD_TO_CART, PURCHASE])
    return st.lists(st.tuples(st.integers(0, 19), types, st.sampled_from(minutes)), max_size=most)


def interactions(done: list[tuple[int, str, int]], until: int) -> tuple[Interaction, ...]:
    found, ts = [], until
    for item, event_type, minutes in reversed(done):
        found.append(Interaction(f"item-{item:02d}", event_type, ts))
        ts -= minutes * MINUTE
    return tuple(reversed(found))


items = st.lists(st.integers(0, 19).map("item-{:02d}".format), max_size=3, unique=True).map(tuple)
queries = st.builds(
    lambda history, session, cart, page: query(
        history=interactions(history, AT_MICROS - 50 * MINUTE),
        session=interactions(session, AT_MICROS - MINUTE),
        cart_items=cart,
        context_items=page,
    ),
    steps(40, [0, 0, 1, 2, 60 * 24 * 3]),
    steps(8, [0, 0, 1, 5]),
    items,
    items,
).filter(lambda q: q.history or q.session or q.cart_items or q.context_items)


@settings(deadline=None, max_examples=25)
@given(queries, st.integers(0, 3))
def test_every_feature_is_what_its_name_says(question: Query, seed: int) -> None:
    bundle = ranked_bundle(seed=seed) if seed else BUNDLE
    maker = maker_of(bundle)
    proposed, seeds = asked(question, bundle)
    rows = maker.features(proposed, seeds)
    assert rows.dtype == np.float32
    assert rows.flags.f_contiguous
    expected = rows_by_hand(bundle, proposed, seeds, STATS)
    assert set(maker.names) == set(expected[0])
    assert len(set(maker.names)) == len(maker.names) == rows.shape[1]
    assert not differences(maker.names, rows, expected)


@settings(deadline=None, max_examples=25)
@given(queries, st.randoms(use_true_random=False))
def test_candidates_in_another_order_are_rows_in_another_order(
    question: Query, random: object
) -> None:
    proposed, seeds = asked(question)
    order = list(range(len(proposed.item_idx)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = replace(
        proposed,
        item_idx=proposed.item_idx[order],
        blend=proposed.blend[order],
        scores=proposed.scores[:, order],
        shares=proposed.shares[:, order],
    )
    rows, other = MAKER.features(proposed, seeds), MAKER.features(moved, seeds)
    other[:, MAKER.names.index("place")] = np.array(order)
    assert rows[order].tobytes() == other.tobytes()


@settings(deadline=None, max_examples=25)
@given(queries)
def test_features_look_at_the_candidates_alone_and_leave_no_trace(question: Query) -> None:
    """Half of the candidates have the rows that they have among all."""
    proposed, seeds = asked(question)
    half = proposed.item_idx[::2]
    some = replace(
        proposed,
        item_idx=half,
        blend=proposed.blend[::2],
        scores=proposed.scores[:, ::2],
        shares=proposed.shares[:, ::2],
    )
    rows = MAKER.features(some, seeds)
    rows[:, MAKER.names.index("place")] *= 2
    assert rows.tobytes() == MAKER.features(proposed, seeds)[::2].tobytes()
    assert not scratch("candidate_row", len(BUNDLE.catalogue), np.int32).any()


def test_what_was_never_met_is_missing_or_far() -> None:
    rows, candidates = features_of(query(session=viewed(2, 4)))
    met, other = candidates.index(4), candidates.index(6)
    assert column(rows, "met.order")[met] == 0
    assert column(rows, "met.age")[met] == pytest.approx(math.log1p(60))
    assert column(rows, "met.order")[other] == 99
    assert math.isnan(column(rows, "met.age")[other])
    assert math.isnan(column(rows, "met.purchase_age")[met])
    assert column(rows, "met.times")[other] == 0


def test_a_price_that_is_not_known_is_missing() -> None:
    """item-00 has no price; and where it is all that was met, no price can be compared with it."""
    rows, candidates = features_of(query(session=viewed(2)))
    price = column(rows, "like.price")
    assert math.isnan(price[candidates.index(0)])
    assert price[candidates.index(4)] == pytest.approx(math.log(5 / 3))
    rows, _ = features_of(query(session=viewed(0)))
    assert np.isnan(column(rows, "like.price")).all()


def test_only_the_newest_of_a_long_way_are_met() -> None:
    bundle = ranked_bundle(60)
    session = viewed(*range(50))
    proposed, seeds = asked(query(session=session), bundle)
    assert way_of(seeds).met.tolist() == list(range(49, 49 - MAX_MET, -1))
    rows = maker_of(bundle).features(proposed, seeds)
    assert not differences(
        maker_of(bundle).names, rows, rows_by_hand(bundle, proposed, seeds, STATS)
    )


def test_the_cart_is_no_step_of_the_way_unless_it_is_all_there_is() -> None:
    _, seeds = asked(query(session=viewed(2, 4), cart_items=("item-06",)))
    way = way_of(seeds)
    assert (way.events.tolist(), way.cart.tolist()) == ([2, 4], [6])
    _, seeds = asked(query(cart_items=("item-06", "item-08")))
    assert way_of(seeds).events.tolist() == [6, 8]


def test_a_page_that_the_last_step_opened_is_no_further_step() -> None:
    seen = query(session=viewed(2, 4))
    on_page = query(session=viewed(2, 4), context_items=("item-04",))
    assert asked(on_page)[1].item_idx.tolist() == asked(seen)[1].item_idx.tolist()
    elsewhere = query(session=viewed(2, 4), context_items=("item-02", "item-06"))
    assert asked(elsewhere)[1].item_idx.tolist() == [2, 4, 2, 6]
    later = query(history=viewed(2, 4), context_items=("item-04",))
    assert asked(later)[1].item_idx.tolist() == [2, 4, 4]


def test_without_factors_nothing_points_anywhere() -> None:
    arrays, info = ranked_parts()
    arrays = {name: each for name, each in arrays.items() if "factor" not in name}
    sources = {name: each for name, each in info.sources.items() if name != "als"}
    weights = {name: each for name, each in info.blend.items() if name != "als"}
    info = replace(info, sources=sources, blend=weights)
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    maker = maker_of(bundle)
    proposed, seeds = asked(query(session=viewed(2, 4)), bundle)
    rows = maker.features(proposed, seeds)
    assert not differences(maker.names, rows, rows_by_hand(bundle, proposed, seeds, STATS))
    assert not rows[:, maker.names.index("als.way")].any()
