from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.errors import BundleError, ConfigError
from recommender.pace import COMPARED, FEATURES, UNKNOWN_PACE, Pace, PaceNetwork, Quantiles
from recommender.pace_table import NEUTRAL, PaceStyle, PaceTable, parse_pace
from recommender.pipeline import recommend
from recommender.placements import Placement, parse_placements, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query, Visit
from recommender.terms import (
    BROWSING,
    FOCUSED,
    HURRIED,
    MICROS_PER_SECOND,
    MODES,
    RETURNING,
    UNKNOWN_MODE,
    VIEW_ITEM,
)
from recommender.visit_signs import Signs
from tests.bundles import AT, AT_MICROS, shop_arrays, shop_info
from tests.paces import pace_arrays

SECOND = 1_000_000


def bundle(**changed: np.ndarray):  # type: ignore[no-untyped-def]
    arrays = shop_arrays() | pace_arrays() | changed
    return bundle_of(arrays, BundleManifest.describe(shop_info(), {}))


def visit(*item_ids: str, gap: int = 40, met: frozenset[str] = frozenset()) -> Visit:
    last = len(item_ids) - 1
    events = tuple(
        Interaction(item_id, VIEW_ITEM, AT_MICROS - (last - n) * gap * SECOND)
        for n, item_id in enumerate(item_ids)
    )
    return Visit(events, met)


@pytest.mark.parametrize(
    ("seen", "mode"),
    [
        (visit("item-00", "item-04", "item-08", gap=3), HURRIED),
        (visit("item-00", "item-04", "item-08", gap=60), FOCUSED),
        (visit("item-00", "item-01", "item-02", "item-03", gap=60), BROWSING),
        (
            visit("item-00", "item-04", "item-08", gap=60, met=frozenset({"item-00", "item-04"})),
            RETURNING,
        ),
    ],
)
def test_each_mode_is_told_from_what_speaks_for_it(seen: Visit, mode: str) -> None:
    pace = bundle().pace(seen)
    assert pace.mode == mode
    assert 0.25 < pace.confidence <= 1
    assert pace.steps == len(seen.events)
    assert list(pace.positions()) == list(FEATURES)
    assert all(0 <= each <= 1 for each in pace.features)


def test_before_the_third_step_the_mode_is_unknown() -> None:
    model = bundle()
    assert model.pace(Visit()) == UNKNOWN_PACE
    assert model.pace(visit("item-00", "item-02")) == Pace(UNKNOWN_MODE, 0.0, 2, ())
    assert model.pace(visit("item-00", "item-02", "item-04")).mode != UNKNOWN_MODE


def test_a_bundle_without_the_arrays_knows_no_pace() -> None:
    plain = bundle_of(shop_arrays(), BundleManifest.describe(shop_info(), {}))
    assert plain.pace(visit("item-00", "item-02", "item-04")) == UNKNOWN_PACE


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"pace_signature": np.array([1], np.int64)}, "signature"),
        ({"pace_quantiles": pace_arrays()["pace_quantiles"][:, ::-1].copy()}, "fall"),
        ({"pace_quantiles": pace_arrays()["pace_quantiles"][1:].copy()}, "measures"),
        ({"pace_output_bias": np.zeros(3, np.float32)}, "pace_modes"),
    ],
)
def test_arrays_of_something_else_are_refused(changed: dict[str, np.ndarray], named: str) -> None:
    with pytest.raises(BundleError, match=named):
        bundle(**changed)


def test_one_array_alone_is_refused() -> None:
    arrays = shop_arrays() | {"pace_signature": pace_arrays()["pace_signature"]}
    with pytest.raises(BundleError, match="belong together"):
        bundle_of(arrays, BundleManifest.describe(shop_info(), {}))


@given(
    st.lists(st.integers(0, 6), min_size=2, max_size=12).map(sorted),
    st.integers(-1, 7),
    st.integers(-1, 7),
)
def test_a_position_rises_with_the_value_and_lies_between_0_and_1(
    knots: list[int], one: int, other: int
) -> None:
    quantiles = Quantiles(np.array([knots], np.float32))
    low, high = (quantiles.position(0, each) for each in sorted((one, other)))
    assert 0 <= low <= high <= 1


def test_equal_values_stand_in_the_middle_of_their_share() -> None:
    quantiles = Quantiles(np.array([[0, 0, 0, 4, 8]], np.float32))
    assert [quantiles.position(0, each) for each in (-1, 0, 2, 4, 6, 8, 9)] == [
        0, 0.25, 0.625, 0.75, 0.875, 1, 1,
    ]  # fmt: skip


# ---- what it changes -------------------------------------------------------------------------

TABLE = PaceTable(
    0.5,
    {
        HURRIED: PaceStyle(length=0.5, novelty_at_most=0.0),
        BROWSING: PaceStyle(novelty_at_least=0.5),
    },
)


def answer(seen: Visit, limit: int = 8, **changed: object):  # type: ignore[no-untyped-def]
    query = Query(at=AT, placement="home", limit=limit, session=seen.events, visit=seen)
    place = Placement("home", pace=TABLE, exclude=(), **changed)  # type: ignore[arg-type]
    return recommend(query, bundle(), place, TopPolicy())


SEEN = ("item-00", "item-01", "item-05", "item-00", "item-04")


def test_the_network_is_what_its_formula_says() -> None:
    rng = np.random.default_rng(7)
    sizes = ((len(FEATURES), 5), (5,), (5, len(MODES)), (len(MODES),))
    hidden, bias, output, last = (rng.normal(size=size).astype(np.float32) for size in sizes)
    features = rng.random(len(FEATURES)).astype(np.float32)
    raised = np.exp(np.tanh(features @ hidden + bias) @ output + last)
    found = PaceNetwork(hidden, bias, output, last).probabilities(features.tolist())
    np.testing.assert_allclose(found, raised / raised.sum(), rtol=1e-5)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=9))
def test_gaps_are_told_by_where_they_stand_among_those_of_the_shop(seconds: list[int]) -> None:
    knots = np.tile(np.linspace(0, 32, 33, dtype=np.float32), (len(COMPARED), 1))
    quantiles, signs, ts = Quantiles(knots), Signs(Visit(), lambda _: -1), 0
    signs.feed(Interaction("item-0", VIEW_ITEM, ts))
    for number, gap in enumerate(seconds, start=1):
        ts += gap * MICROS_PER_SECOND
        signs.feed(Interaction(f"item-{number}", VIEW_ITEM, ts))
    stand = [quantiles.position(0, gap) for gap in seconds]
    expected = (np.mean(stand), stand[-1], np.std(stand), min(stand), max(stand), np.median(stand))
    features = quantiles.features(signs)
    assert len(features) == len(FEATURES)
    assert features[:6] == pytest.approx(expected)
    assert features[6:8] == (quantiles.position(2, len(seconds) + 1),) * 2


def test_a_hurried_visit_gets_less_and_nothing_new_and_a_browsing_one_the_whole_list() -> None:
    hurried, browsing = answer(visit(*SEEN, gap=2)), answer(visit(*SEEN, gap=70))
    assert (hurried.pace.mode, browsing.pace.mode) == (HURRIED, BROWSING)
    assert len(hurried.items) == 4
    assert len(browsing.items) == 8
    # Kitchen and garden tools were looked at; garden seeds are new.
    seeds = {f"item-{i:02d}" for i in range(2, 20, 4)}
    assert not seeds & {each.item_id for each in hurried.items}
    assert len(seeds & {each.item_id for each in browsing.items}) >= 4
    assert [each.position for each in browsing.items] == list(range(1, 9))


def test_an_unsure_mode_and_a_place_without_the_session_change_nothing() -> None:
    sure = answer(visit(*SEEN, gap=2), seeds=("context",))
    assert (sure.style, len(sure.items)) == (NEUTRAL, 8)
    assert TABLE.style(Pace(HURRIED, 0.49, 3)) == NEUTRAL
    assert TABLE.style(Pace(FOCUSED, 0.99, 3)) == NEUTRAL


@given(
    st.integers(1, 15),
    st.floats(0, 1),
    st.floats(0, 1),
    st.lists(st.integers(0, 18), min_size=3, max_size=6),
)
def test_the_share_of_new_items_keeps_its_bounds_where_there_are_candidates(
    limit: int, one: float, other: float, seen: list[int]
) -> None:
    low, high = sorted((one, other))
    style = PaceStyle(novelty_at_least=low, novelty_at_most=high)
    shown = visit(*(f"item-{i:02d}" for i in seen), gap=60)
    query = Query(at=AT, placement="home", limit=limit, session=shown.events, visit=shown)
    place = Placement("home", exclude=(), pace=PaceTable(0.0, dict.fromkeys(MODES, style)))
    plain = Placement("home", exclude=())
    model = bundle()
    every = recommend(
        Query(at=AT, placement="home", limit=100, session=shown.events), model, plain, TopPolicy()
    )
    category = {i: ("k" if i % 2 else "t" if i % 4 == 0 else "s") for i in range(20)}
    last = list(dict.fromkeys(reversed(seen)))[:5]
    new = {f"item-{i:02d}" for i in range(20) if i not in seen} - {
        f"item-{i:02d}" for i in range(20) if category[i] in {category[j] for j in last}
    }
    slate = recommend(query, model, place, TopPolicy())
    size, candidates = len(slate.items), [each.item_id for each in every.items]
    count = sum(each.item_id in new for each in slate.items)
    familiar = sum(each not in new for each in candidates)
    assert count <= max(int(size * high + 1e-9), size - familiar)
    assert count >= min(
        np.ceil(size * low - 1e-9), int(size * high + 1e-9), len(new & {*candidates})
    )
    assert len({each.item_id for each in slate.items}) == size


# ---- its table -------------------------------------------------------------------------------


def test_a_placement_changes_the_shared_table() -> None:
    table = {
        "pace": {"confidence": 0.7, "hurried": {"length": 0.5, "novelty_at_most": 0.1}},
        "placements": {"a": {}, "b": {"pace": {"confidence": 0.9, "hurried": {"length": 1}}}},
    }
    places = parse_placements(table)
    assert places["a"].pace == PaceTable(0.7, {HURRIED: PaceStyle(0.5, 0.0, 0.1)})
    assert places["b"].pace == PaceTable(0.9, {HURRIED: PaceStyle(1.0, 0.0, 0.1)})


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"rushed": {}}, "rushed"),
        ({"hurried": {"limit": 4}}, "limit"),
        ({"hurried": {"length": 0}}, "length=0"),
        ({"hurried": {"length": True}}, "length=True"),
        ({"browsing": {"novelty_at_least": 0.6, "novelty_at_most": 0.5}}, "novelty_at_least=0.6"),
        ({"confidence": 1.5}, "confidence=1.5"),
        ({"hurried": 3}, "hurried=3"),
        (7, "accepted: a table"),
    ],
)
def test_what_a_table_cannot_hold_is_named(raw: object, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_pace("pace", raw)


def test_the_shipped_table_shortens_hurried_lists_and_varies_browsing_ones() -> None:
    home = read_placements()["home"]
    assert home.pace.style(Pace(HURRIED, 0.9, 5)).limit(home.limit) < home.limit
    assert home.pace.style(Pace(BROWSING, 0.9, 5)).novelty_at_least > 0
    assert home.pace.style(Pace(HURRIED, 0.3, 5)) == NEUTRAL


def test_the_list_is_never_empty_because_of_the_pace() -> None:
    assert PaceStyle(length=0.1).limit(1) == 1
