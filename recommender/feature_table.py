"""The kernels of `recommender.features`: one line per feature, one column per candidate.

What is done to one feature of all candidates is so done to neighbours in memory, many at once.

Notation: as in `recommender.features`; a *line* is a row of the table, of c numbers.
"""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.feature_parts import Candidates, Lists, Model, Way
from recommender.feature_way import from_course, from_met, from_way
from recommender.terms import Float32Array, Int32Array

_WAY_DECAY = np.float32(0.75)
_OTHERS = 16


@kernel
def filled(
    table: Float32Array,
    line: int,
    candidates: Candidates,
    way: Way,
    model: Model,
    place: Int32Array,
) -> None:
    """Write the lines that come from the sources, and from `line` on all but the last.

    Parameters
    ----------
    table
        Zeros, float32 (features, c).
    place
        Zero for all items, and so at the end.
    """
    item_idx = candidates.item_idx
    _put(item_idx, place)
    _from_sources(table, candidates)
    line = _from_directions(table, line, item_idx, way, model.factors, model.factor_norm)
    line = _from_directions(table, line, item_idx, way, model.vectors, model.vector_norm)
    line = from_met(table, line, way, place)
    line = from_course(table, line, way, model.courses, place)
    line = _from_likeness(table, line, item_idx, way, model)
    line = _from_stats(table, line, item_idx, way, model)
    from_way(table, line, way)
    _take_away(item_idx, place)


@kernel
def filled_from_lists(
    table: Float32Array, item_idx: Int32Array, way: Way, lists: Lists, place: Int32Array
) -> None:
    """Write the lines of these lists.

    Parameters
    ----------
    table
        Zeros, float32 (features, c).
    item_idx
        The candidates, int32 (c,).
    place
        Zero for all items, and so at the end.
    """
    _put(item_idx, place)
    # Before the candidates' columns some for whatever is no candidate: to ask would take longer.
    found = np.zeros((4, table.shape[1] + _OTHERS), np.float32)
    for source in range(lists.lines.shape[0]):
        found[:] = 0
        _from_lists(found, way, lists.neighbours[source], lists.weights[source], place)
        for lag in range(4):
            for column in range(table.shape[1]):
                table[lists.lines[source] + lag, column] = found[lag, column + _OTHERS]
    _take_away(item_idx, place)


@kernel
def _put(item_idx: Int32Array, place: Int32Array) -> None:
    """Note the column of each candidate plus one, so that nothing is noted for all others."""
    for column in range(item_idx.shape[0]):
        place[item_idx[column]] = column + 1


@kernel
def _take_away(item_idx: Int32Array, place: Int32Array) -> None:
    for item in item_idx:
        place[item] = 0


@kernel
def _from_sources(table: Float32Array, candidates: Candidates) -> None:
    for source in range(candidates.lines.shape[0]):
        line = candidates.lines[source]
        for column in range(table.shape[1]):
            table[line, column] = candidates.scores[source, column]
            table[line + 1, column] = candidates.shares[source, column]


@kernel
def _from_lists(
    found: Float32Array,
    way: Way,
    neighbours: Int32Array,
    weights: Float32Array,
    place: Int32Array,
) -> None:
    """Weight of each candidate with the last item, the two before, and the largest with any."""
    largest, met = found[3], way.met
    for order in range(met.shape[0]):
        listed, weight = neighbours[met[order]], weights[met[order]]
        for entry in range(listed.shape[0]):
            if listed[entry] < 0:
                break
            column = _column(listed[entry], entry, place)
            largest[column] = max(largest[column], weight[entry])
    for order in range(min(3, met.shape[0])):
        listed, weight, own = neighbours[met[order]], weights[met[order]], found[order]
        for entry in range(listed.shape[0]):
            if listed[entry] < 0:
                break
            own[_column(listed[entry], entry, place)] = weight[entry]


@kernel
def _column(item: int, turn: int, place: Int32Array) -> np.uint32:
    """Column of a candidate; for others one of those before, in turns: none waits for the last."""
    column = place[np.uint32(item)]
    return np.uint32(column + _OTHERS - 1 if column > 0 else turn % _OTHERS)


@kernel
def _from_directions(
    table: Float32Array,
    line: int,
    item_idx: Int32Array,
    way: Way,
    vectors: Float32Array,
    norm: Float32Array,
) -> int:
    mean, count = _mean_direction(way, vectors, norm), item_idx.shape[0]
    last = vectors[way.met[0]] / max(norm[way.met[0]], np.float32(1e-12))
    for begin in range(0, count, 4):
        # Where there are less than four left, the last one fills up.
        columns = (
            begin,
            min(begin + 1, count - 1),
            min(begin + 2, count - 1),
            min(begin + 3, count - 1),
        )
        items = (
            item_idx[columns[0]],
            item_idx[columns[1]],
            item_idx[columns[2]],
            item_idx[columns[3]],
        )
        with_last, with_way = _products(items, vectors, last, mean)
        for each in range(4):
            length = norm[items[each]]
            if length > 0:
                table[line, columns[each]] = with_last[each] / length
                table[line + 1, columns[each]] = with_way[each] / length
    return line + 2


@kernel
def _products(
    items: tuple[int, int, int, int], vectors: Float32Array, last: Float32Array, way: Float32Array
) -> tuple[tuple[np.float32, ...], tuple[np.float32, ...]]:
    """Products of four items' vectors with two others, each summed in the order of the factors.

    Four at once, because a sum has to wait for itself, but not for another one.
    """
    a, b, c, d = items
    a_last = b_last = c_last = d_last = np.float32(0)
    a_way = b_way = c_way = d_way = np.float32(0)
    for f in range(vectors.shape[1]):
        a_last += vectors[a, f] * last[f]
        a_way += vectors[a, f] * way[f]
        b_last += vectors[b, f] * last[f]
        b_way += vectors[b, f] * way[f]
        c_last += vectors[c, f] * last[f]
        c_way += vectors[c, f] * way[f]
        d_last += vectors[d, f] * last[f]
        d_way += vectors[d, f] * way[f]
    return (a_last, b_last, c_last, d_last), (a_way, b_way, c_way, d_way)


@kernel
def _mean_direction(way: Way, vectors: Float32Array, norm: Float32Array) -> Float32Array:
    """Decayed mean of the met items' directions, of length 1; float32 (f,)."""
    mean = np.zeros(vectors.shape[1], np.float32)
    strength = np.float32(1)
    for item in way.met:
        if norm[item] > 0:
            for f in range(mean.shape[0]):
                mean[f] += strength * vectors[item, f] / norm[item]
        strength *= _WAY_DECAY
    length = np.float32(1e-12)
    for f in range(mean.shape[0]):
        length += mean[f] * mean[f]
    direction: Float32Array = mean / np.sqrt(length)
    return direction


@kernel
def _from_likeness(
    table: Float32Array, line: int, candidates: Int32Array, way: Way, model: Model
) -> int:
    mean_price, met = _mean_log_price(way, model), way.met.shape[0]
    _add_equal(table[line], model.category, candidates, way)
    _add_equal(table[line + 1], model.brand, candidates, way)
    for column in range(candidates.shape[0]):
        table[line, column] /= met
        table[line + 1, column] /= met
        table[line + 2, column] = model.log_price[candidates[column]] - mean_price
    return line + 3


@kernel
def _add_equal(found: Float32Array, labels: Int32Array, candidates: Int32Array, way: Way) -> None:
    """Count the met items that have the label of each candidate; -1 is none."""
    own = labels[candidates]
    for item in way.met:
        label = labels[item]
        if label < 0:
            continue
        for column in range(own.shape[0]):
            found[column] += np.float32(own[column] == label)


@kernel
def _mean_log_price(way: Way, model: Model) -> float:
    total, priced = 0.0, 0
    for item in way.met:
        if not np.isnan(model.log_price[item]):
            total += model.log_price[item]
            priced += 1
    return total / priced if priced else np.nan


@kernel
def _from_stats(
    table: Float32Array, line: int, candidates: Int32Array, way: Way, model: Model
) -> int:
    width = int(model.stats.shape[1])
    for column in range(candidates.shape[0]):
        item = candidates[column]
        for number in range(width):
            table[line + number, column] = model.stats[item, number]
    for number in range(width):
        table[line + width + number] = model.stats[way.met[0], number]
    return line + 2 * width
