"""The arrays that tell the pace of visits: the shop's own quantiles, and the network that ships.

No shop knows the true pace of a visit, so the network is learnt on simulated shops
(`training.pace_learning`) and ships as data; what is learnt of each shop are its quantiles, which
make its visits comparable.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from recommender.errors import ConfigError
from recommender.pace import FEATURES, SIGNATURE, PaceNetwork
from recommender.terms import MODES, Float32Array
from training.models.pace_visits import PastVisits

DEFAULT_FILE = Path(__file__).with_name("pace.json")
MOST_VISITS = 5_000
"""Visits that a shop's quantiles are measured on; more change the 33 knots hardly."""
LEAST_VISITS = 50
"""With fewer visits of three events or more, a shop's quantiles say nothing."""


class PaceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that ships. Rows of `hidden` are features, columns of `output` modes.

    Parameters
    ----------
    learnt
        How it came about: seeds, sizes, regularisation, temperature.
    """

    learnt: Mapping[str, float | int | list[int]]
    features: tuple[str, ...]
    modes: tuple[str, ...]
    hidden: list[list[float]]
    hidden_bias: list[float]
    output: list[list[float]]
    output_bias: list[float]

    def network(self) -> PaceNetwork:
        """The network, float32."""
        parts = (self.hidden, self.hidden_bias, self.output, self.output_bias)
        return PaceNetwork(*(np.array(part, np.float32) for part in parts))


def read_pace_file(path: Path = DEFAULT_FILE) -> PaceFile:
    """Read the file that ships, or another one.

    Raises
    ------
    ConfigError
        It is not readable, or was learnt for other features or modes.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=PaceFile)
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if (found.features, found.modes) != (FEATURES, MODES):
        raise ConfigError(
            f"{path}: features {found.features} and modes {found.modes}; accepted: "
            f"{FEATURES} and {MODES}; learn it anew with python -m scripts.learn_pace"
        )
    return found


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
