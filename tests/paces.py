"""Bundle arrays that tell paces by rules one can follow: quick gaps hurry, spread browses."""

from __future__ import annotations

import numpy as np

from recommender.pace import COMPARED, FEATURES, KNOTS, SIGNATURE
from recommender.terms import BROWSING, FOCUSED, HURRIED, MODES, RETURNING


def pace_arrays() -> dict[str, np.ndarray]:
    """Gaps from 1 to 101 s, counts from 0 to 10, shares from 0 to 1."""
    quantiles = np.empty((len(COMPARED), KNOTS), np.float32)
    for row, name in enumerate(COMPARED):
        low, high = (1, 101) if name.startswith("gap") else (0, 1 if "share" in name else 10)
        quantiles[row] = np.linspace(low, high, KNOTS)
    # One unit for each mode that something speaks for; a focused visit is what is left.
    signs = {
        HURRIED: {"gap_median": -8.0},
        BROWSING: {"category_entropy": 8.0, "gap_median": 4.0},
        RETURNING: {"known_share": 8.0},
    }
    bias = {HURRIED: 2.0, BROWSING: -3.0, RETURNING: -4.0}
    hidden = np.zeros((len(FEATURES), len(MODES)), np.float32)
    hidden_bias = np.zeros(len(MODES), np.float32)
    output = np.zeros((len(MODES), len(MODES)), np.float32)
    for unit, mode in enumerate(MODES):
        output[unit, unit] = 0 if mode == FOCUSED else 4
        hidden_bias[unit] = bias.get(mode, 0)
        for name, weight in signs.get(mode, {}).items():
            hidden[FEATURES.index(name), unit] = weight
    return {
        "pace_signature": np.array([SIGNATURE], np.int64),
        "pace_quantiles": quantiles,
        "pace_hidden": hidden,
        "pace_hidden_bias": hidden_bias,
        "pace_output": output,
        "pace_output_bias": np.zeros(len(MODES), np.float32),
    }
