"""The candidate sources of a bundle, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from recommender.bundle_manifest import SourceInfo
from recommender.candidates.als import AlsSource
from recommender.candidates.buy_again import BuyAgainSource
from recommender.candidates.encoder import EncoderSource
from recommender.candidates.returns import ReturnsSource
from recommender.candidates.source import CandidateSource
from recommender.catalogue import Catalogue
from recommender.errors import BundleError
from recommender.read_only import read_only
from recommender.terms import Int32Array

if TYPE_CHECKING:
    from recommender.exact_search import ExactIndex

Arrays = Mapping[str, npt.NDArray[np.generic]]
# Vectors that fit into the processor's own memory are scanned at once; see `benchmarks.kernels`.
SEARCHED_BYTES: Final = 8 << 20
SHORTLISTS: Final = ("trend", "new_items", "early_adopters")
POPULARITY: Final = ("popularity", "popular_in_category")
SESSION_KNN: Final = ("session_knn", "session_knn_near")


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
    if name in POPULARITY:
        return _popularity(name, catalogue)
    try:
        if name in SHORTLISTS:
            return _shortlist(name, info, arrays, catalogue)
        if name in SESSION_KNN:
            return _session_knn(name, info, arrays)
        if (build := _LEARNT.get(name)) is not None:
            return build(info, arrays)
        return _neighbours(name, info, arrays)
    except KeyError as error:
        raise BundleError(f"source {name!r}: {error} is missing in the bundle") from error


def _popularity(name: str, catalogue: Catalogue) -> CandidateSource:
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.candidates.popularity import PopularInCategorySource, PopularitySource

    return (PopularitySource if name == "popularity" else PopularInCategorySource)(catalogue)


def _als(info: SourceInfo, arrays: Arrays) -> AlsSource:
    alpha = _positive("als", info, "alpha")
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
    factors, is_of_pool = read_only(arrays["item_factors"]), _is_of_pool("als", info)
    index = None if is_of_pool else _index(factors)
    params = (alpha, regularization, exponent, index, is_of_pool)
    return AlsSource(factors, read_only(inverse), *params)


def _is_positive_diagonal(matrix: npt.NDArray[np.generic]) -> bool:
    diagonal = np.diagonal(matrix)
    return bool((diagonal > 0).all()) and np.count_nonzero(matrix) == len(diagonal)


def _neighbours(name: str, info: SourceInfo, arrays: Arrays) -> CandidateSource:
    from recommender.candidates.neighbours import NeighbourSource

    idx, weight = arrays[f"neighbours_{name}_idx"], arrays[f"neighbours_{name}_weight"]
    lag_decay = float(info.params.get("lag_decay", 1.0))
    if not 0 < lag_decay <= 1:
        raise BundleError(f"source {name!r}: lag_decay={lag_decay}; accepted: above 0, at most 1")
    return NeighbourSource(read_only(idx), read_only(weight), info.seed_events, lag_decay)


def _session_knn(name: str, info: SourceInfo, arrays: Arrays) -> CandidateSource:
    from recommender.candidates.past_visits import SessionIndex
    from recommender.candidates.session_knn import SessionKnnParams, SessionKnnSource

    names = ("session_items", "session_offsets", "item_sessions", "item_sessions_offsets")
    params = {part: _positive(name, info, part) for part in SessionKnnParams._fields}
    index = SessionIndex(*(read_only(arrays[each]) for each in names))
    return SessionKnnSource(index, SessionKnnParams(**params))


def _encoder(info: SourceInfo, arrays: Arrays) -> EncoderSource:
    lengths = np.asarray(arrays["encoder_lengths"], np.float32)
    lag_weights = np.asarray(arrays["encoder_lag_weights"], np.float32)
    if not ((lengths >= 0).all() and (lag_weights > 0).all() and len(lag_weights)):
        raise BundleError("source 'encoder': a length below 0, or a weight that is not above 0")
    temperature = _positive("encoder", info, "temperature")
    vectors, is_of_pool = read_only(arrays["encoder_vectors"]), _is_of_pool("encoder", info)
    index = None
    if not is_of_pool:
        index = _index(vectors, np.flatnonzero(lengths > 0).astype(np.int32))
    params = (temperature, index, is_of_pool)
    return EncoderSource(vectors, read_only(lengths), read_only(lag_weights), *params)


def _is_of_pool(name: str, info: SourceInfo) -> bool:
    """Whether a source with vectors chooses from what the others propose."""
    if (value := info.params.get("of_pool", 0.0)) not in (0, 1):
        raise BundleError(f"source {name!r}: of_pool={value}; accepted: 0 or 1")
    return bool(value)


def _index(
    vectors: npt.NDArray[np.generic], members: Int32Array | None = None
) -> ExactIndex | None:
    """What finds the best of these vectors; None where a plain scan of them is as quick."""
    if vectors.nbytes < SEARCHED_BYTES:
        return None
    from recommender.exact_search import ExactIndex

    return ExactIndex.of(vectors, members)  # type: ignore[arg-type]


def _shortlist(
    name: str, info: SourceInfo, arrays: Arrays, catalogue: Catalogue
) -> CandidateSource:
    from recommender.candidates.shortlist import ShortlistSource

    items, scores = arrays[f"shortlist_{name}_items"], arrays[f"shortlist_{name}_score"]
    if len(np.unique(items)) != len(items):
        raise BundleError(f"source {name!r}: an item is listed twice")
    everybody = _positive(name, info, "everybody")
    return ShortlistSource(catalogue, read_only(items), read_only(scores), everybody)


def _buy_again(info: SourceInfo, arrays: Arrays) -> BuyAgainSource:
    alike = np.ones(len(arrays["repeat_probability"]), np.float32)
    source = BuyAgainSource(
        arrays["repeat_probability"],  # type: ignore[arg-type]
        arrays["interval_log_mean"],  # type: ignore[arg-type]
        arrays["interval_log_sd"],  # type: ignore[arg-type]
        _positive("buy_again", info, "horizon_days"),
        _positive("buy_again", info, "own_prior"),
        float(info.params["least"]),
        arrays.get("buy_again_demand", alike),  # type: ignore[arg-type]
    )
    probability = source.repeat_probability
    if not ((probability >= 0) & (probability <= 1) & (source.interval_log_sd > 0)).all():
        raise BundleError("source 'buy_again': a probability outside 0..1 or a spread of 0")
    if not ((source.demand > 0) & (source.demand <= 1)).all():
        raise BundleError("source 'buy_again': a demand outside 0..1, or 0")
    return source


_LEARNT: Final[Mapping[str, Callable[[SourceInfo, Arrays], CandidateSource]]] = {
    "als": _als,
    "encoder": _encoder,
    "buy_again": _buy_again,
}


def _positive(name: str, info: SourceInfo, parameter: str) -> float:
    value = float(info.params[parameter])
    if not value > 0:
        raise BundleError(f"source {name!r}: {parameter}={value}; accepted: above 0")
    return value
