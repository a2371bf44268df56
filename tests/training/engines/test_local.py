from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import DataError
from recommender.terms import (
    ADD_TO_CART,
    EVENT_TYPES,
    PURCHASE,
    SEARCH,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
)
from tests.factories import DAY, HOUR, MINUTE, SECOND, START, Did, write_log
from training.engine import EventWindow
from training.engines.local import LocalEngine
from training.sections import PAIR_EVENTS
from training.spec import TrainingSpec, parse_spec

ENGINE = LocalEngine()
SPEC = TrainingSpec()
FEW = settings(max_examples=15)  # each example ingests a log into files


def ingest(
    root: Path, done: list[Did], spec: TrainingSpec = SPEC, as_of: int | None = None
) -> EventWindow:
    root.mkdir(parents=True, exist_ok=True)
    return ENGINE.ingest_window(write_log(root / "store", done), spec, as_of, root)


def rows(window: EventWindow) -> list[dict[str, object]]:
    return window.scan().collect().to_dicts()


def pairs_of(path: Path, window: EventWindow) -> dict[tuple[str, str], float]:
    first, second, weight = pl.read_parquet(path).get_columns()
    ids = window.shopper_ids if first.name == "shopper_idx" else window.item_ids
    return {(ids[a], window.item_ids[b]): w for a, b, w in zip(first, second, weight, strict=True)}


def test_rows_that_are_not_used_are_counted_by_reason(tmp_path: Path) -> None:
    window = ingest(
        tmp_path,
        [
            Did("ann", "x", START),
            Did("ann", None, START + SECOND, SEARCH),
            Did("ann", "y", START + 2 * SECOND, VIEW_ITEM_LIST),
            Did("bob", "x", START + HOUR, available_at=START + 2 * DAY),
            Did("bob", "x", START + 23 * HOUR),
        ],
        as_of=START + 23 * HOUR,
    )
    assert window.counts == {
        "read": 5,
        "kept": 1,
        "outside the window": 1,
        "not yet arrived": 1,
        "without item": 1,
        "event type not used": 1,
    }
    assert (window.item_ids, window.shopper_ids) == (("x",), ("ann",))
    assert (window.period.start, window.period.end) == (START, START + 23 * HOUR)


def test_without_a_moment_the_window_ends_just_after_the_last_event(tmp_path: Path) -> None:
    window = ingest(tmp_path, [Did("ann", "x", START), Did("ann", "y", START + HOUR)])
    assert window.period.end == START + HOUR + 1
    assert window.counts["kept"] == 2


def test_the_window_is_so_many_days_long(tmp_path: Path) -> None:
    done = [Did("ann", f"item-{day}", START + day * DAY) for day in range(10)]
    window = ingest(tmp_path, done, parse_spec({"window": {"days": 3}}), START + 9 * DAY)
    assert window.item_ids == ("item-6", "item-7", "item-8")


def test_an_empty_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ingest a log first"):
        ingest(tmp_path / "none", [])
    with pytest.raises(DataError, match="no interaction with an item"):
        ingest(tmp_path / "search", [Did("ann", None, START, SEARCH)])
    with pytest.raises(DataError, match="the log is empty"):
        ingest(tmp_path / "early", [Did("ann", "x", START)], as_of=START - DAY)


def test_a_session_ends_after_the_gap_and_not_at_it(tmp_path: Path) -> None:
    gap = 30 * MINUTE
    moments = [0, gap, 2 * gap + 1, 2 * gap + 2]
    window = ingest(
        tmp_path,
        [Did("ann", "x", START + at) for at in moments] + [Did("bob", "x", START)],
    )
    assert [row["session"] for row in rows(window)] == [0, 0, 1, 1, 2]


def test_a_step_is_what_one_shopper_did_of_one_type_at_one_moment(tmp_path: Path) -> None:
    window = ingest(
        tmp_path,
        [
            Did("ann", "basket-1", START, PURCHASE, "e3"),
            Did("ann", "basket-2", START, PURCHASE, "e1"),
            Did("ann", "viewed", START, VIEW_ITEM, "e2"),
            Did("ann", "later", START + 1, VIEW_ITEM, "e4"),
            Did("bob", "later", START + 1, VIEW_ITEM, "e5"),
        ],
    )
    found = [
        (window.item_ids[row["item_idx"]], EVENT_TYPES[row["event_code"]], row["step"])
        for row in rows(window)
    ]
    assert found == [
        ("viewed", VIEW_ITEM, 0),
        ("basket-1", PURCHASE, 1),
        ("basket-2", PURCHASE, 1),
        ("later", VIEW_ITEM, 2),
        ("later", VIEW_ITEM, 3),
    ]


EVENTS = st.lists(
    st.builds(
        Did,
        shopper=st.sampled_from(["ann", "bob", "cleo"]),
        item=st.sampled_from(["a", "b", "c", "d"]),
        ts=st.integers(0, 300).map(lambda minute: START + minute * 7 * MINUTE),
        event_type=st.sampled_from([VIEW_ITEM, ADD_TO_CART, PURCHASE]),
        price=st.sampled_from([None, 1.0, 2.5]),
    ),
    min_size=1,
    max_size=30,
)


def numbered(done: list[Did]) -> list[Did]:
    return [
        Did(d.shopper, d.item, d.ts, d.event_type, f"e{i:03d}", price=d.price)
        for i, d in enumerate(done)
    ]


@FEW
@given(done=EVENTS, order=st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(
    done: list[Did], order: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    done = numbered(done)
    one = ingest(tmp_path_factory.mktemp("one"), done)
    shuffled = list(done)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    other = ingest(tmp_path_factory.mktemp("other"), shuffled)
    assert rows(one) == rows(other)
    assert one.digest == other.digest


@FEW
@given(done=EVENTS, cut=st.integers(0, 2_200))
def test_interactions_are_decayed_weights_summed_by_pair(
    done: list[Did], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("interactions")
    window = ingest(folder, done)
    until = START + cut * MINUTE
    expected: dict[tuple[str, str], float] = defaultdict(float)
    for did in done:
        if did.ts < until:
            age = (until - did.ts) / DAY
            weight = dict(SPEC.event_weights)[did.event_type]
            assert did.item is not None
            expected[did.shopper, did.item] += weight * 2 ** (-age / SPEC.seeds.half_life_days)
    found = pairs_of(ENGINE.interactions(window, SPEC, until, folder), window)
    assert found == pytest.approx(dict(expected), rel=1e-12)


def naive_pairs(
    done: list[Did], until: int, spec: TrainingSpec, pair: str
) -> dict[tuple[str, str], float]:
    """The definition at the head of `training.models.covisitation`, word by word."""
    settings = spec.covisitation.pair(pair)
    earlier, later = PAIR_EVENTS[pair]
    found: dict[tuple[str, str], float] = defaultdict(float)
    gap = spec.session.gap_minutes * MINUTE
    for shopper in {d.shopper for d in done}:
        own = sorted((d for d in done if d.shopper == shopper), key=lambda d: d.ts)
        groups: list[list[Did]] = []
        for did in own:
            if groups and (settings.scope == "shopper" or did.ts - groups[-1][-1].ts <= gap):
                groups[-1].append(did)
            else:
                groups.append([did])
        for group in groups:
            steps: dict[tuple[int, int], set[str]] = defaultdict(set)
            for did in group:
                if did.event_type in (earlier, later) and did.ts < until:
                    assert did.item is not None
                    steps[did.ts, EVENT_TYPES.index(did.event_type)].add(did.item)
            ordered = sorted(steps.items())
            for a, ((ts_a, code_a), items_a) in enumerate(ordered):
                for b, ((ts_b, code_b), items_b) in enumerate(ordered[a:], a):
                    distance = b - a
                    types = (EVENT_TYPES[code_a], EVENT_TYPES[code_b])
                    if types != (earlier, later) or distance > max(settings.max_distance, 0):
                        continue
                    size = math.sqrt(len(items_a) * len(items_b))
                    reach = 1.0 if distance == 0 else settings.position_decay ** (distance - 1)
                    reach *= 2 ** (-((ts_b - ts_a) / DAY) / settings.half_life_days)
                    for i in items_a:
                        for j in items_b - {i}:
                            found[i, j] += reach / size
    return dict(found)


@pytest.mark.parametrize("scope", ["session", "shopper"])
@pytest.mark.parametrize("pair", ["view_view", "view_cart", "purchase_purchase"])
@FEW
@given(done=EVENTS, cut=st.sampled_from([500, 1_000, 2_200]), distance=st.integers(0, 4))
def test_neighbour_counts_are_as_defined(
    scope: str,
    pair: str,
    done: list[Did],
    cut: int,
    distance: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("neighbours")
    settings = {"scope": scope, "max_distance": distance, "half_life_days": 0.1}
    spec = parse_spec({"covisitation": {pair: settings}})
    window = ingest(folder, done, spec)
    until = START + cut * MINUTE
    found = pairs_of(ENGINE.neighbour_counts(window, spec, pair, until, folder), window)
    assert found == pytest.approx(naive_pairs(done, until, spec, pair), rel=1e-9)


@FEW
@given(done=EVENTS, cut=st.integers(0, 2_200), depth=st.integers(1, 4))
@pytest.mark.parametrize("by", ["shopper_idx", "item_idx"])
def test_the_past_of_a_question_is_what_happened_and_arrived_strictly_before(
    by: str, done: list[Did], cut: int, depth: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("as-of")
    late = [
        Did(d.shopper, d.item, d.ts, d.event_type, f"e{i:03d}", d.ts + (i % 3) * HOUR)
        for i, d in enumerate(done)
    ]
    window = ingest(folder, late)
    ids = window.shopper_ids if by == "shopper_idx" else window.item_ids
    at = START + cut * MINUTE
    questions = pl.DataFrame(
        {"question": range(len(ids)), by: range(len(ids)), "at": [at] * len(ids)},
        schema={"question": pl.Int64(), by: pl.Int32(), "at": pl.Int64()},
    )
    found = pl.read_parquet(ENGINE.join_as_of(window, questions, by, depth, folder))
    for question, key in enumerate(ids):
        known = [
            d.ts
            for d in sorted(late, key=lambda d: d.ts)
            if (d.shopper if by == "shopper_idx" else d.item) == key
            and d.ts < at
            and (d.available_at or 0) < at
        ]
        assert found.filter(question=question)["ts"].to_list() == known[-depth:]


def test_libraries_are_named_with_their_versions() -> None:
    assert ENGINE.libraries.keys() == {"implicit", "numpy", "polars", "scipy"}
