"""Outside ids of shoppers and their visits; nothing about a person can be read from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulation.chance import Keys, derive
from training.simulation.shoppers import DEVICES, Shoppers

_USER = 1_000_001
_VISITOR = 1_000_002


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids by shopper.

    Parameters
    ----------
    users
        User id of each shopper, length N, whether they have an account or not.
    visitors
        Visitor ids of each shopper's first and second device, two lists of length N.
    devices
        Kind of each shopper's first and second device, two lists of length N.
    """

    users: list[str]
    visitors: tuple[list[str], list[str]]
    devices: tuple[list[str], list[str]]

    def session_id(self, shopper: int, device: int, visit: int) -> str:
        """Give the id of a visit, counted per device."""
        return f"{self.visitors[device][shopper]}.{visit}"


def identify(shoppers: Shoppers) -> Identity:
    """Name everybody; 64 bits of the shopper's key, mixed again, make an id."""
    first = shoppers.first_device
    second = np.where(first == 0, 1, 0)
    return Identity(
        users=_hex("u", derive(shoppers.keys, _USER)),
        visitors=(
            _hex("v", derive(shoppers.keys, _VISITOR)),
            _hex("v", derive(shoppers.keys, _VISITOR + 1)),
        ),
        devices=([DEVICES[one] for one in first], [DEVICES[one] for one in second]),
    )


def _hex(prefix: str, keys: Keys) -> list[str]:
    return [f"{prefix}{key:016x}" for key in keys.tolist()]
