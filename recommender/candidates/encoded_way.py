"""The kernel of `recommender.candidates.encoder`: the latest steps of a way as one direction."""

from __future__ import annotations

import numpy as np

from recommender.candidates.row_sums import add_rows
from recommender.compiled import kernel
from recommender.terms import Float32Array, Int32Array


@kernel
def encoded(
    met: Int32Array,
    lags: Int32Array,
    lag_weights: Float32Array,
    lengths: Float32Array,
    vectors: Float32Array,
) -> Float32Array:
    """See `recommender.candidates.encoder.EncoderSource.encode`."""
    depth = len(lag_weights)
    near = 0
    for lag in lags[:depth]:
        near += lag < depth
    weights = np.empty(near, np.float32)
    for place in range(near):
        weights[place] = lag_weights[lags[place]] * lengths[met[place]]
    way = np.zeros(vectors.shape[1], np.float32)
    add_rows(way, weights, vectors[met[:near]])
    square = np.float32(0)
    for part in way:
        square += part * part
    length = np.sqrt(square)
    return way / length if length > 0 else way
