"""How likely an item is taken up where it stands: what an answer promises, as a table to look up.

A row for each placement, a column for each place of a list (its first item, its second, …); the
last column stands for all places behind it, the first row for placements without a row of their
own. `training.models.acceptance` learns it; a bundle without it promises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.errors import BundleError
from recommender.ids import StringArray

TABLE: Final = "acceptance"
NAMES: Final = "acceptance_placement_data"
OFFSETS: Final = "acceptance_placement_offsets"
ARRAYS: Final = (TABLE, NAMES, OFFSETS)
ANYWHERE: Final = ""
"""Name of the first row."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Probabilities in (0, 1] by placement and place, falling with the place.

    Parameters
    ----------
    rows
        By placement; `ANYWHERE` for all others. All are of one length, at least 1.
    """

    rows: Mapping[str, tuple[float, ...]]

    def curve(self, placement: str) -> tuple[float, ...]:
        """Probability for each place of a list, the first one first."""
        return self.rows.get(placement) or self.rows[ANYWHERE]

    def total(self, placement: str, shown: int) -> float:
        """Items of a list of `shown` items that are expected to be taken up."""
        curve = self.curve(placement)
        return sum(curve[:shown]) + curve[-1] * max(0, shown - len(curve))


def at_place(curve: tuple[float, ...], place: int) -> float | None:
    """What a curve says of the item at a place, from 0; None where nothing was learnt."""
    return curve[min(place, len(curve) - 1)] if curve else None


def at_places(curve: tuple[float, ...], count: int) -> tuple[float | None, ...]:
    """The same of the first places of a list, so many of them."""
    if not curve:
        return (None,) * count
    return (*curve[:count], *curve[-1:] * (count - len(curve)))


def build_acceptance(arrays: Mapping[str, npt.NDArray[Any]]) -> Acceptance | None:
    """The table of a bundle's arrays; None without. Raises `BundleError`."""
    if TABLE not in arrays:
        return None
    names = StringArray(arrays[NAMES], arrays[OFFSETS])
    names.check(NAMES)
    placements = names.tolist()
    if not placements or placements[0] != ANYWHERE or len(set(placements)) != len(placements):
        raise BundleError(f"{NAMES}: {placements[:5]}; accepted: distinct, the first one empty")
    table = np.asarray(arrays[TABLE], np.float64)
    if not table.shape[1] or not ((table > 0) & (table <= 1)).all():
        raise BundleError(f"{TABLE}: accepted: at least one column, above 0 and at most 1")
    if (np.diff(table, axis=1) > 0).any():
        raise BundleError(f"{TABLE}: rises along a list; accepted: it falls or stays")
    rows = (tuple(row) for row in table.tolist())
    return Acceptance(dict(zip(placements, rows, strict=True)))


def acceptance_arrays(acceptance: Acceptance) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a table: float32 (placements, places), and the names of its rows."""
    names = sorted(acceptance.rows)
    packed = StringArray.from_strings(names)
    table = np.array([acceptance.rows[name] for name in names], np.float32)
    return {TABLE: table, NAMES: packed.data, OFFSETS: packed.offsets}
