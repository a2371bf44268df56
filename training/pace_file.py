"""The file that ships with the product: the network that tells the pace of visits, as text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from recommender.errors import ConfigError
from recommender.pace import FEATURES, PaceNetwork
from recommender.terms import MODES

DEFAULT_FILE = Path(__file__).with_name("pace.json")


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


def save(path: Path, file: PaceFile) -> None:
    """Write the file that ships."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")
