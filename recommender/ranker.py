"""The learnt order of candidates: their features through the trees of the placement's objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.bundle_manifest import RankerInfo
from recommender.candidates.encoder import EncoderSource
from recommender.candidates.neighbours import NeighbourSource
from recommender.candidates.source import CandidateSource
from recommender.catalogue import Catalogue
from recommender.course import KINDS, Courses
from recommender.errors import BundleError
from recommender.feature_parts import Model
from recommender.features import FeatureMaker, log_prices, norms
from recommender.forest import Forest
from recommender.forest_arrays import Arrays, heads_of
from recommender.placements import Placement
from recommender.ranking import Proposed
from recommender.read_only import read_only
from recommender.seeds import Seeds
from recommender.terms import Float32Array, Float64Array, Int32Array

NEXT_STEP = "next_step"
PURCHASE_HEAD = "purchase"
_TINY: Final = np.finfo(np.float32).tiny
_PATH: Final = (NEXT_STEP, PURCHASE_HEAD)


@dataclass(frozen=True, slots=True)
class Ranker:
    """Orders candidates.

    Parameters
    ----------
    maker
        Computes the features of this model.
    columns
        For each feature that the trees were taught, its column, or -1 where this model has no such
        source; int32 (taught,).
    heads
        The trees, by what they predict.
    candidates
        How many candidates are ranked.
    shortlist
        Weight of each source in the score by which these are chosen.
    """

    maker: FeatureMaker
    columns: Int32Array
    heads: Mapping[str, Forest]
    candidates: int
    shortlist: Mapping[str, float]
    _is_in_order: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        in_order = np.arange(len(self.maker.names))
        object.__setattr__(self, "_is_in_order", np.array_equal(self.columns, in_order))

    def scores(self, proposed: Proposed, seeds: Seeds, placement: Placement) -> Float32Array:
        """Share of each candidate in what is expected, float32 (c,), positive, summing to 1.

        softmax of the trees' sums; for the objective ``path`` the shares of both heads are mixed by
        the placement's `purchase_share`. A model without the head asked for uses the one it has.
        """
        features = self.taught(self.maker.features(proposed, seeds))
        shares = {
            head: _softmax(self.heads[head].score(features)) for head in self._heads_for(placement)
        }
        if len(shares) == 1:
            (mixed,) = shares.values()
        else:
            weight = placement.purchase_share
            mixed = (1 - weight) * shares[NEXT_STEP] + weight * shares[PURCHASE_HEAD]
        # Far below the best a share underflows; it stays a score that the ladder can go on from.
        return np.maximum(mixed, _TINY).astype(np.float32)

    def taught(self, features: Float32Array) -> Float32Array:
        """Columns in the order that the trees were taught; what this model lacks is 0."""
        return features if self._is_in_order else arranged(features, self.columns)

    def _heads_for(self, placement: Placement) -> tuple[str, ...]:
        wanted = _PATH if placement.objective == "path" else (placement.objective,)
        return tuple(head for head in wanted if head in self.heads) or tuple(self.heads)[:1]


def build_ranker(
    info: RankerInfo, arrays: Arrays, catalogue: Catalogue, sources: Mapping[str, CandidateSource]
) -> Ranker:
    """The ranker of a bundle.

    Raises
    ------
    BundleError
        Its trees or figures are not there, or do not fit each other.
    """
    if not (heads := heads_of(arrays)) or "item_stats" not in arrays:
        raise BundleError("a ranker is described, but its trees or item_stats are not there")
    maker = feature_maker(arrays, catalogue, sources, info.stats)
    columns = columns_of(info.features, maker.names)
    forests = {head: Forest.from_arrays(arrays, head, len(columns)) for head in heads}
    return Ranker(maker, columns, forests, info.candidates, info.shortlist)


def columns_of(wanted: Sequence[str], names: Sequence[str]) -> Int32Array:
    """Column of each wanted feature among these names, -1 where there is none; int32 (wanted,)."""
    known = {name: column for column, name in enumerate(names)}
    return np.array([known.get(name, -1) for name in wanted], np.int32)


def arranged(features: Float32Array, columns: Int32Array) -> Float32Array:
    """The columns in this order, float32 (c, columns), one behind the other; -1 is one of 0."""
    if np.array_equal(columns, np.arange(features.shape[1])):
        return features
    chosen: Float32Array = features.T[columns]
    chosen[columns < 0] = 0
    return chosen.T


def feature_maker(
    arrays: Arrays,
    catalogue: Catalogue,
    sources: Mapping[str, CandidateSource],
    stat_names: tuple[str, ...],
) -> FeatureMaker:
    """Computes features over the arrays of a bundle. Raises `BundleError`."""
    stats = np.asarray(arrays["item_stats"], np.float32)
    if stats.shape != (len(catalogue), len(stat_names)):
        raise BundleError(
            f"item_stats {stats.shape}; accepted: one column for each of {stat_names}"
        )
    listed = {
        name: each for name, each in sorted(sources.items()) if isinstance(each, NeighbourSource)
    }
    parts = (
        *_with_norms(arrays.get("item_factors"), len(catalogue)),
        *_with_norms(arrays.get("item_vectors"), len(catalogue)),
        stats,
        catalogue.item_category,
        catalogue.item_brand,
        log_prices(catalogue),
    )
    model = Model._make([*map(read_only, parts), _courses(arrays)])
    encoder = sources.get("encoder")
    return FeatureMaker(
        tuple(sorted(sources)),
        listed,
        stat_names,
        model,
        encoder if isinstance(encoder, EncoderSource) else None,
    )


def _courses(arrays: Arrays) -> Courses:
    """How visits go back to what was met; no contexts where the bundle does not say."""
    child = arrays.get("course_child", np.empty((0, KINDS + 1), np.int32))
    share = arrays.get("course_share", np.empty((0, KINDS), np.float32))
    return Courses(read_only(np.asarray(child, np.int32)), read_only(np.asarray(share, np.float32)))


def _with_norms(
    vectors: npt.NDArray[np.generic] | None, items: int
) -> tuple[Float32Array, Float32Array]:
    """Vectors and the length of each; without any, all of length 0."""
    if vectors is None:
        vectors = np.zeros((items, 1), np.float32)
    found = np.asarray(vectors, np.float32)
    return found, norms(found)


def _softmax(margins: Float64Array) -> Float64Array:
    raised = np.exp(margins - np.maximum.reduce(margins))
    shares: Float64Array = raised / np.add.reduce(raised)
    return shares
