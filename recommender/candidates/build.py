"""The candidate sources of a bundle, by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recommender.bundle_manifest import SourceInfo
from recommender.candidates.als import AlsSource
from recommender.candidates.neighbours import NeighbourSource
from recommender.candidates.popularity import PopularInCategorySource, PopularitySource
from recommender.candidates.returns import ReturnsSource
from recommender.candidates.source import CandidateSource
from recommender.catalogue import Catalogue
from recommender.errors import BundleError

Arrays = Mapping[str, npt.NDArray[np.generic]]


def build_source(
    name: str, info: SourceInfo, arrays: Arrays, catalogue: Catalogue
) -> CandidateSource:
    """One source over the arrays of a bundle.

    Raises
    ------
    BundleError
        The arrays or parameters of this source are not there.
    """
    if name == "returns":
        return ReturnsSource()
    if name == "popularity":
        return PopularitySource(catalogue)
    if name == "popular_in_category":
        return PopularInCategorySource(catalogue)
    try:
        return _als(info, arrays) if name == "als" else _neighbours(name, info, arrays)
    except KeyError as error:
        raise BundleError(f"source {name!r}: {error} is missing in the bundle") from error


def _als(info: SourceInfo, arrays: Arrays) -> AlsSource:
    alpha = float(info.params["alpha"])
    if not alpha > 0:
        raise BundleError(f"source 'als': alpha={alpha}; accepted: above 0")
    inverse = arrays["factor_inverse"]
    exponent = float(info.params.get("frequency_exponent", 0.0))
    regularization = float(info.params.get("regularization", 0.0))
    if not (0 <= exponent <= 1 and regularization >= 0):
        raise BundleError(
            f"source 'als': frequency_exponent={exponent}, regularization={regularization}; "
            "accepted: 0 to 1, and 0 or more"
        )
    if exponent and not _is_positive_diagonal(inverse):
        raise BundleError("source 'als': frequency_exponent needs a diagonal factor_inverse")
    return AlsSource(arrays["item_factors"], inverse, alpha, regularization, exponent)  # type: ignore[arg-type]


def _is_positive_diagonal(matrix: npt.NDArray[np.generic]) -> bool:
    diagonal = np.diagonal(matrix)
    return bool((diagonal > 0).all()) and np.count_nonzero(matrix) == len(diagonal)


def _neighbours(name: str, info: SourceInfo, arrays: Arrays) -> NeighbourSource:
    idx, weight = arrays[f"neighbours_{name}_idx"], arrays[f"neighbours_{name}_weight"]
    return NeighbourSource(idx, weight, info.seed_events)  # type: ignore[arg-type]
