"""The arrays that tell the pace of visits: the shop's own quantiles, and the network that ships.

No shop knows the true pace of a visit, so the network is learnt on simulated shops
(`training.pace_learning`) and ships as data; what is learnt of each shop are its quantiles, which
make its visits comparable.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.pace import SIGNATURE, PaceNetwork
from recommender.terms import Float32Array
from training.models.pace_visits import PastVisits

MOST_VISITS = 5_000
"""Visits that a shop's quantiles are measured on; more change the 33 knots hardly."""
LEAST_VISITS = 50
"""With fewer visits of three events or more, a shop's quantiles say nothing."""


def pace_arrays(visits: PastVisits, network: PaceNetwork) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a bundle; none where the shop has too few visits to compare with."""
    if len(visits.visits) < LEAST_VISITS:
        return {}
    return arrays_of(visits.quantiles(), network)


def arrays_of(quantiles: Float32Array, network: PaceNetwork) -> dict[str, npt.NDArray[np.generic]]:
    """Quantiles and network under their names in a bundle."""
    return {
        "pace_signature": np.array([SIGNATURE], np.int64),
        "pace_quantiles": quantiles,
        "pace_hidden": network.hidden,
        "pace_hidden_bias": network.hidden_bias,
        "pace_output": network.output,
        "pace_output_bias": network.output_bias,
    }
