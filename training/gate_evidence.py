"""What a model shows when it is asked, as the gate needs it: lists, scores, size and speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from threadpoolctl import threadpool_limits

from recommender import metrics
from recommender.bundle import ModelBundle
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.slate import Slate
from recommender.terms import Float64Array
from training.evaluation.offline import Rankings, by_sources_alone, score_each, shown_counts
from training.evaluation.report import POPULARITY
from training.evaluation.slices import is_returning
from training.split import HoldOut


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one model showed to the hold-out shoppers.

    Parameters
    ----------
    is_finite
        No NaN or infinity in the arrays, nor in any score. If it is False nothing else was
        measured and everything below is empty.
    rankings
        Item ids per shopper, best first.
    ndcg
        Per shopper, float64 (n,).
    coverage
        Share of the catalogue shown to anyone.
    distinct_lists
        Different lists among the shoppers of whom something is known, as a share of these
        shoppers; 0 when there is none. Strangers get one list, and most of a shop may be strangers.
    flat_lists
        Lists of several items whose scores are all equal, as a share of all lists.
    megabytes
        Size of the arrays in 10^6 bytes.
    latency_ms
        Milliseconds per answer; 95 % of the answers took no longer.
    """

    bundle_version: str
    is_finite: bool
    rankings: Rankings = ()
    ndcg: Float64Array = field(default_factory=lambda: np.empty(0))
    coverage: float = 0.0
    distinct_lists: float = 0.0
    flat_lists: float = 0.0
    megabytes: float = 0.0
    latency_ms: float = 0.0

    @property
    def mean_ndcg(self) -> float:
        """Mean over shoppers; 0 where nothing was measured."""
        return float(self.ndcg.mean()) if len(self.ndcg) else 0.0


def examine(
    bundle: ModelBundle,
    test: HoldOut,
    placement: Placement,
    k: int,
    timer: Callable[[], float] = time.perf_counter,
) -> Evidence:
    """Ask a model for every hold-out shopper, through the pipeline that serves.

    Parameters
    ----------
    k
        List length, and the cut-off of nDCG.
    timer
        Monotonic seconds.
    """
    megabytes = sum(array.nbytes for array in bundle.arrays.values()) / 1e6
    if not _finite_arrays(bundle):
        return _unusable(bundle, megabytes)
    slates, milliseconds = _answers(bundle, test, placement, k, timer)
    scores = [np.array([item.score for item in slate.items]) for slate in slates]
    if not all(np.isfinite(each).all() for each in scores):
        return _unusable(bundle, megabytes)
    rankings = tuple(tuple(item.item_id for item in slate.items) for slate in slates)
    return Evidence(
        bundle.version,
        is_finite=True,
        rankings=rankings,
        ndcg=score_each(metrics.ndcg, rankings, test.targets, k),
        coverage=metrics.coverage(shown_counts(rankings, bundle)),
        distinct_lists=_distinct_share(
            [each for i, each in enumerate(rankings) if is_returning(test, i)]
        ),
        flat_lists=float(np.mean([len(each) > 1 and np.ptp(each) == 0 for each in scores])),
        megabytes=megabytes,
        latency_ms=float(np.percentile(milliseconds, 95)),
    )


def popularity_ndcg(
    bundle: ModelBundle, test: HoldOut, placement: Placement, k: int
) -> Float64Array:
    """NDCG of the same model answering with popularity alone, float64 (n,)."""
    alone = by_sources_alone(bundle)
    return examine(alone, test, replace(placement, sources=(POPULARITY,)), k).ndcg


def overlap(one: Rankings, other: Rankings, k: int = 10) -> float:
    """Mean share of common items among the first k; lists empty on both sides count as equal."""
    shares = [_common(a[:k], b[:k]) for a, b in zip(one, other, strict=True)]
    return float(np.mean(shares)) if shares else 1.0


def _distinct_share(rankings: Sequence[tuple[str, ...]]) -> float:
    return len(set(rankings)) / len(rankings) if rankings else 0.0


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    longest = max(len(one), len(other))
    return len({*one} & {*other}) / longest if longest else 1.0


def _answers(
    bundle: ModelBundle,
    test: HoldOut,
    placement: Placement,
    k: int,
    timer: Callable[[], float],
) -> tuple[list[Slate], list[float]]:
    slates: list[Slate] = []
    milliseconds: list[float] = []
    policy = TopPolicy()
    stocked = _in_stock(bundle)
    with threadpool_limits(1, "blas"):
        for query in test.queries:
            start = timer()
            slates.append(recommend(query.but(limit=k), stocked, placement, policy))
            milliseconds.append((timer() - start) * 1000)
    return slates, milliseconds


def _in_stock(bundle: ModelBundle) -> ModelBundle:
    # The questions are of the past; what is sold out today could be bought then.
    everything = np.ones(len(bundle.catalogue), np.bool_)
    return replace(bundle, catalogue=replace(bundle.catalogue, item_available=everything))


def _finite_arrays(bundle: ModelBundle) -> bool:
    return all(
        bool(np.isfinite(array).all())
        for array in bundle.arrays.values()
        if array.dtype.kind == "f"
    )


def _unusable(bundle: ModelBundle, megabytes: float) -> Evidence:
    return Evidence(bundle.version, is_finite=False, megabytes=megabytes)
