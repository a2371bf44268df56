from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recommender.resting import Settled, settled
from recommender.terms import Float64Array, Int32Array, Int64Array

CAP = 9


def by_hand(
    ranked: tuple[Int32Array, Int64Array],
    ignored: dict[int, tuple[float, int]],
    labels: Int32Array,
    most: int,
    constant: float,
) -> tuple[list[int], Int64Array, Float64Array, Float64Array]:
    """Order, caps, discounts and discounted ranks by the plain definition."""
    items, cap = ranked[0].tolist(), ranked[1].copy()
    discount = np.array([ignored.get(item, (1.0, 0))[0] for item in items])
    for place, item in enumerate(items):
        cap[place] = ignored.get(item, (1.0, 0))[1] or cap[place]
    plain = np.arange(1.0, len(items) + 1)
    rank = np.maximum((plain + constant) / discount - constant, plain)
    order, counts = list[int](), Counter[int]()
    for place in np.argsort(rank, kind="stable").tolist():
        label = int(labels[place])
        if cap[place]:
            continue
        counts[label] += 1
        if label >= 0 and counts[label] > most:
            cap[place] = CAP
        else:
            order.append(place)
    return order, cap, discount, rank


def run(
    ranked: tuple[Int32Array, Int64Array],
    ignored: dict[int, tuple[float, int]],
    labels: Int32Array,
    most: int,
    constant: float,
    limit: int,
) -> tuple[Settled, Int64Array]:
    known, cap = sorted(ignored), ranked[1].copy()
    told = np.array([[ignored[item][part] for item in known] for part in (0, 1)], np.float64)
    found = settled(
        (ranked[0], np.linspace(1, -1, len(cap), dtype=np.float32), cap),
        (np.array(known, np.int32), told),
        (labels[None], np.array([[most, CAP]])),
        constant,
        limit,
    )
    return found, cap


@given(
    st.permutations(range(40)),
    st.dictionaries(
        st.integers(0, 99),
        st.tuples(st.floats(0.1, 1), st.sampled_from([0, 0, 0, 3])),
        max_size=20,
    ),
    st.sampled_from([0.0, 0.1, 10.0, 60.0]),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50)),
    st.integers(0, 2**32 - 1),
)
def test_it_follows_the_plain_definition(
    items: list[int],
    ignored: dict[int, tuple[float, int]],
    constant: float,
    sizes: tuple[int, int, int],
    seed: int,
) -> None:
    count, most, limit = sizes
    rng = np.random.default_rng(seed)
    item_idx = np.array(items[:count], np.int32)
    rests = np.where(rng.random(count) < 0.1, 5, 0)
    labels = rng.integers(-1, 4, count).astype(np.int32)
    ranked = (item_idx, rests)
    found, caps = run(ranked, ignored, labels, most, constant, limit)
    order, cap, discount, rank = by_hand(ranked, ignored, labels, most, constant)
    assert found.order.tolist() == order
    assert caps.tolist() == cap.tolist()
    scores = np.linspace(1, -1, count, dtype=np.float32)
    at = np.interp(rank[order], np.arange(1, count + 1), scores.astype(np.float64))
    assert np.allclose(found.scores, at, atol=1e-6)
    strength = 1.0 / (np.arange(1.0, count + 1) + constant)
    shown = order[:limit]
    gain = float((strength[shown] * discount[shown]).sum()) / float(strength[:limit].sum())
    assert found.gain == gain  # to the last bit: it is compared with a threshold
    places = sorted({*range(min(limit, count)), *shown})
    after = {place: number for number, place in enumerate(order, start=1)}
    known = sorted(ignored)
    assert found.changes.tolist() == [
        [
            place,
            known.index(item) if (item := items[place]) in ignored else -1,
            cap[place],
            after.get(place, 0),
        ]
        for place in places
        if cap[place] or discount[place] != 1
    ]


@given(st.integers(1, 128), st.floats(0, 100), st.integers(0, 2**32 - 1))
def test_the_gain_is_added_up_as_numpy_does(count: int, constant: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    item_idx = np.arange(count, dtype=np.int32)
    ignored = {item: (float(share), 0) for item, share in enumerate(rng.uniform(0.01, 1, count))}
    ranked, labels = (item_idx, np.zeros(count, np.int64)), np.full(count, -1, np.int32)
    found, _ = run(ranked, ignored, labels, 1, constant, count)
    shown = found.order
    strength = 1.0 / (np.arange(1.0, count + 1) + constant)
    discount = np.array([ignored[item][0] for item in range(count)])
    assert found.gain == float((strength[shown] * discount[shown]).sum()) / float(strength.sum())
