"""At which pace a visit goes: hurried, focused, browsing or returning, and how sure that is.

What a visit shows (`recommender.visit_signs`) is compared with the shop's own distribution, so that
a quick gap is one that is quick *here*; a small network, learnt on simulated shops, makes
probabilities of it (docs/pace.md).

Notation: m measures, k knots, f features, u hidden units, c = 4 modes. With positions x,
``p = softmax(B' tanh(A' x + a) + b)``; the temperature of the calibration is part of B and b.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.errors import BundleError
from recommender.query import Visit
from recommender.read_only import read_only
from recommender.terms import MODES, UNKNOWN_MODE, Float32Array, Float64Array
from recommender.visit_signs import GAPS, MEASURES, PLACES, CategoryOf, Signs

FIRST_KNOWN: Final = 3
"""Steps from which on a visit has a mode."""
KNOTS: Final = 33
COMPARED: Final = (*GAPS, *MEASURES)
"""Rows of the quantiles."""
_OF_GAPS: Final = ("mean", "latest", "spread", "shortest", "longest", "median")
FEATURES: Final = (
    *(f"gap_{name}" for name in _OF_GAPS),
    *MEASURES,
    *(f"entry_{place}" for place in PLACES),
    *(f"latest_{place}" for place in PLACES),
    "entry_known",
    "entry_nowhere",
)
SIGNATURE: Final = zlib.crc32(" ".join((*COMPARED, *FEATURES, *MODES)).encode())
"""Tells arrays learnt for other features or modes from those of this version."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a visit goes.

    Parameters
    ----------
    mode
        One of `recommender.terms.MODES`, or `UNKNOWN_MODE`.
    confidence
        Calibrated probability of the mode; 0 where it is unknown.
    steps
        Steps of the visit so far, see `recommender.visit_signs`.
    features
        Values of `FEATURES`; empty where the mode is unknown.
    """

    mode: str = UNKNOWN_MODE
    confidence: float = 0.0
    steps: int = 0
    features: tuple[float, ...] = ()

    def positions(self) -> dict[str, float]:
        """The features by name, 0 to 1, rounded for people."""
        return {name: round(value, 3) for name, value in zip(FEATURES, self.features, strict=False)}


UNKNOWN_PACE: Final = Pace()


class Quantiles:
    """A shop's own distributions, by the rows of `COMPARED`.

    Parameters
    ----------
    knots
        float32 (m, k): quantiles 0, 1/(k-1), … 1 of each measure, not falling.
    """

    def __init__(self, knots: Float32Array) -> None:
        self._knots: Float64Array = read_only(np.asarray(knots, np.float64))

    def position(self, row: int, value: float) -> float:
        """Share of the shop's values below a value, 0 to 1; half of those that are equal count."""
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.pace_kernels import position

        return position(self._knots[row], float(value))

    def features(self, signs: Signs) -> tuple[float, ...]:
        """Values of `FEATURES`; there must have been a step."""
        from recommender.pace_kernels import features_of

        gaps = np.array(signs.gaps, np.float64).reshape(-1, 2)
        measures = np.array(signs.measures(), np.float64)
        places = (len(PLACES), signs.entry, signs.latest)
        entry = (signs.entry_is_known, signs.entry_is_nowhere)
        return tuple(features_of(self._knots, gaps, measures, places, entry).tolist())


@dataclass(frozen=True, slots=True)
class PaceNetwork:
    """From features to probabilities.

    Parameters
    ----------
    hidden, hidden_bias
        A and a, float32 (f, u) and (u,).
    output, output_bias
        B and b, float32 (u, c) and (c,).
    """

    hidden: Float32Array
    hidden_bias: Float32Array
    output: Float32Array
    output_bias: Float32Array

    def probabilities(self, features: Sequence[float]) -> list[float]:
        """Probability of each of `MODES`."""
        from recommender.pace_kernels import chances_of

        given = np.array(features, np.float32)
        hidden, output = (self.hidden, self.hidden_bias), (self.output, self.output_bias)
        chances: list[float] = chances_of(given, hidden, output).tolist()
        return chances


@dataclass(frozen=True, slots=True)
class PaceModel:
    """Tells the pace of visits in one shop."""

    quantiles: Quantiles
    network: PaceNetwork
    categories: Categories

    def pace(self, visit: Visit) -> Pace:
        """The pace of a visit as known after its last event."""
        signs = Signs(visit, self.categories)
        for event in visit.events:
            signs.feed(event)
        return self.judge(signs)

    def judge(self, signs: Signs) -> Pace:
        """The pace that signs speak of."""
        if signs.steps < FIRST_KNOWN:
            return Pace(steps=signs.steps)
        features = self.quantiles.features(signs)
        chances = self.network.probabilities(features)
        confidence = max(chances)
        return Pace(MODES[chances.index(confidence)], confidence, signs.steps, features)


class Categories:
    """Category index of items, -1 where it is not known; each item is looked up once.

    What is remembered is bounded by the catalogue: unknown ids are looked up again.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._known: dict[str, int] = {}

    def __call__(self, item_id: str) -> int:
        """Category index of an item id."""
        found = self._known.get(item_id)
        if found is not None:
            return found
        index = self._catalogue.ids.index(item_id)
        if index is None:
            return NO_CATEGORY
        self._known[item_id] = category = int(self._catalogue.item_category[index])
        return category


def build_pace(
    arrays: Mapping[str, npt.NDArray[np.generic]], catalogue: Catalogue
) -> PaceModel | None:
    """The model of a bundle's arrays; None where it has none.

    dtypes, finiteness and equal dimensions are checked before, by `recommender.bundle_schema`.

    Raises
    ------
    BundleError
        The arrays were learnt for other features, or the quantiles fall.
    """
    if "pace_quantiles" not in arrays:
        return None
    knots = np.asarray(arrays["pace_quantiles"], np.float32)
    parts = ("hidden", "hidden_bias", "output", "output_bias")
    network = PaceNetwork(
        *(read_only(np.asarray(arrays[f"pace_{part}"], np.float32)) for part in parts)
    )
    sizes = (len(knots), len(network.hidden), len(network.output_bias))
    expected = (len(COMPARED), len(FEATURES), len(MODES))
    if sizes != expected or arrays["pace_signature"].tolist() != [SIGNATURE]:
        raise BundleError(
            f"pace: measures, features, modes {sizes} with signature "
            f"{arrays['pace_signature'].tolist()}; accepted: {expected} with [{SIGNATURE}]"
        )
    if knots.shape[1] < 2 or (np.diff(knots, axis=1) < 0).any():
        raise BundleError("pace_quantiles: fewer than two knots, or knots that fall")
    return PaceModel(Quantiles(knots), network, Categories(catalogue))


def prefixes(visit: Visit, category_of: CategoryOf) -> Iterator[Signs]:
    """The signs of a visit after each step from `FIRST_KNOWN` on; one object, fed further.

    What a page shows belongs to the step that opened it: signs are given when the page is whole.
    """
    signs = Signs(visit, category_of)
    given = FIRST_KNOWN - 1
    for event in visit.events:
        if signs.steps > given and signs.would_step(event):
            given = signs.steps
            yield signs
        signs.feed(event)
    if signs.steps > given:
        yield signs
