"""The kernels of `recommender.pace`: positions among a shop's own quantiles, and the network.

Notation: as there.
"""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Float32Array, Float64Array

_OF_GAPS = 6


@kernel
def position(knots: Float64Array, value: float) -> float:
    """See `recommender.pace.Quantiles.position`; knots float64 (k,)."""
    left, last = np.searchsorted(knots, value), len(knots) - 1
    if left > last:
        return 1.0
    if knots[left] == value:
        return (left + np.searchsorted(knots, value, "right") - 1) / 2 / last
    if left == 0:
        return 0.0
    low = knots[left - 1]
    return float((left - 1 + (value - low) / (knots[left] - low)) / last)


@kernel
def features_of(
    knots: Float64Array,
    gaps: Float64Array,
    measures: Float64Array,
    places: tuple[int, int, int],
    entry: tuple[bool, bool],
) -> Float64Array:
    """Values of `recommender.pace.FEATURES`, float64 (f,).

    Parameters
    ----------
    knots
        Quantiles of the kinds of gaps, then of the measures, float64 (m, k).
    gaps
        Kind and seconds of each, oldest first, float64 (g, 2).
    measures
        Values of `recommender.visit_signs.MEASURES`, float64.
    places
        How many places there are, that of the first step, and that of the latest.
    entry
        Whether the first step was known, and was nowhere.
    """
    count, first, latest = places
    features = np.zeros(_OF_GAPS + len(measures) + 2 * count + 2)
    _write_gaps(features[:_OF_GAPS], knots, gaps)
    kinds, at = len(knots) - len(measures), _OF_GAPS
    for measure in range(len(measures)):
        features[at + measure] = position(knots[kinds + measure], measures[measure])
    at += len(measures)
    features[at + first] = 1.0
    features[at + count + latest] = 1.0
    features[at + 2 * count] = entry[0]
    features[at + 2 * count + 1] = entry[1]
    return features


@kernel
def _write_gaps(features: Float64Array, knots: Float64Array, gaps: Float64Array) -> None:
    """Mean, latest, spread, shortest, longest and median of the gaps' positions."""
    count = len(gaps)
    features[:] = 0.5
    features[2] = 0.0
    if count == 0:
        return
    positions, total, squares = np.empty(count), 0.0, 0.0
    for gap in range(count):
        positions[gap] = position(knots[int(gaps[gap, 0])], gaps[gap, 1])
        total += positions[gap]
    mean, latest = total / count, positions[count - 1]
    for each in positions:
        squares += (each - mean) ** 2
    positions.sort()
    features[0], features[1], features[2] = mean, latest, np.sqrt(squares / count)
    features[3], features[4] = positions[0], positions[count - 1]
    features[5] = (positions[(count - 1) // 2] + positions[count // 2]) / 2


@kernel
def chances_of(
    features: Float32Array,
    hidden: tuple[Float32Array, Float32Array],
    output: tuple[Float32Array, Float32Array],
) -> Float64Array:
    """p, float64 (c,): see `recommender.pace`; A and a, B and b."""
    units = hidden[1].copy()
    for feature in range(len(features)):
        for unit in range(len(units)):
            units[unit] += features[feature] * hidden[0][feature, unit]
    logits = output[1].copy()
    for unit in range(len(units)):
        raised = np.tanh(units[unit])
        for mode in range(len(logits)):
            logits[mode] += raised * output[0][unit, mode]
    odds = np.exp(logits.astype(np.float64) - np.float64(logits.max()))
    chances: Float64Array = odds / odds.sum()
    return chances
