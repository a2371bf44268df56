"""Short lists of items with a score each, as arrays; and what makes an item stand out.

Notation: item i has a mass x_i of one kind (lately, by some shoppers) and y_i of another (over a
long time, by all shoppers); X and Y are their sums. If nothing set the item apart, x_i would be
e_i = X y_i / Y. One event weighs φ = Σ w² / Σ w on average in x, so that the standard deviation of
x_i is about sqrt(φ (e_i + φ)) (Poisson counts of size φ; one event more keeps rare items from
looking certain). The *surplus* is what lies beyond z of them:

    max(0, x_i - e_i - z sqrt(φ (e_i + φ))).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recommender.terms import Float32Array, Float64Array, Int32Array


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Items, best first.

    Parameters
    ----------
    items
        int32 (m,), none twice.
    scores
        float32 (m,), positive, falling.
    """

    items: Int32Array
    scores: Float32Array

    def arrays(self, source: str) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays under the names that a bundle gives them."""
        return {f"shortlist_{source}_items": self.items, f"shortlist_{source}_score": self.scores}


def shortlist(scores: Float64Array, size: int) -> Shortlist:
    """The best items with a positive score; ties by item index.

    Parameters
    ----------
    scores
        float64 (items,).
    """
    values = scores.astype(np.float32)
    best = np.argsort(-values, kind="stable")[:size]
    best = best[values[best] > 0]
    return Shortlist(best.astype(np.int32), values[best])


def surplus(
    mass: Float64Array, usual: Float64Array, event_weight: float, sigmas: float
) -> Float64Array:
    """The surplus above of each item, float64 (items,), not negative.

    Parameters
    ----------
    mass, usual
        x and y, float64 (items,), not negative.
    event_weight
        φ, positive.
    sigmas
        z.
    """
    if not usual.sum() > 0:
        return np.zeros(len(mass))
    expected = usual / usual.sum() * mass.sum()  # in this order: the sum may be next to nothing
    spread = np.sqrt(event_weight * (expected + event_weight))
    beyond: Float64Array = np.maximum(0.0, mass - expected - sigmas * spread)
    return beyond


def mean_event_weight(weights: Float64Array) -> float:
    """φ of weights, float64 (n,); 1 where there is none."""
    total = float(weights.sum())
    return float((weights**2).sum()) / total if total > 0 else 1.0
