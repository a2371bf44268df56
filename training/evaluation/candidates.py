"""What the candidate sources find before anything is ranked: the ceiling of every ranking.

Each source is asked for its best candidates of every hold-out shopper, with the seeds and the
eligible items that the pipeline would give it; sources that need no seeds are asked for strangers
as well, whom the pipeline would hand to its ladder. Then, for a cut-off k:

- *recall of a source*: targets among its k best;
- *recall of the union*: targets among the k best of all lists together, taken in turn: first what
  some source has first, then what some source has second, each item once, sources in the order of
  the report. All are judged at the same budget of k candidates;
- *recall of the pool*: targets among the k best of any source, which is what a ranker over all
  lists gets to see, with its mean number of candidates;
- *what a source adds*: recall of the union (the pool) minus the same without the source, paired by
  shopper. In the union it can be negative: the places that the source takes had better been given
  to the others.

Recall is that of `recommender.metrics`: Σ [found] / min(k, targets), the mean over shoppers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from recommender.bundle import ModelBundle
from recommender.pipeline import find_seeds
from recommender.placements import Placement
from recommender.query import Query
from recommender.rules import eligible_items
from recommender.terms import Float64Array, Int32Array
from training.dataset import moment
from training.evaluation.bootstrap import Bootstrap, Interval
from training.evaluation.candidate_report import (
    CUT_OFFS,
    POOL,
    UNION,
    CandidateReport,
    SliceRecall,
    SourceRecall,
)
from training.evaluation.slices import Slice, slices_of
from training.sections import EvaluationSpec
from training.split import HoldOut

EVERYBODY = ("all", "all")


@dataclass(frozen=True, slots=True)
class FoundAt:
    """Where each target of each shopper stands in the lists; infinity: nowhere.

    Notation: s sources, p pairs of a shopper and a target.

    Parameters
    ----------
    sources
        Names, in the order in which they take turns.
    shopper
        Row of the hold-out of each pair, int32 (p,).
    item_ids
        Target of each pair.
    alone
        1-based position in the list of each source, float64 (s, p).
    union, pool
        Position among all lists taken in turn, and best position in any list, float64 (p,).
    union_without, pool_without
        The same without each source, float64 (s, p).
    pool_size
        Distinct candidates of each shopper, float64 (cut-offs, shoppers).
    """

    sources: tuple[str, ...]
    shopper: Int32Array
    item_ids: tuple[str, ...]
    alone: Float64Array
    union: Float64Array
    pool: Float64Array
    union_without: Float64Array
    pool_without: Float64Array
    pool_size: Float64Array


def candidate_report(
    bundle: ModelBundle,
    hold_out: HoldOut,
    placement: Placement,
    spec: EvaluationSpec,
    on_shopper: Callable[[], object] = lambda: None,
) -> CandidateReport:
    """Ask each source of a bundle for every hold-out shopper.

    Parameters
    ----------
    bundle
        Must know nothing of the hold-out period.
    on_shopper
        Called after each shopper.
    """
    found = find_targets(bundle, hold_out, placement, on_shopper)
    draws = Bootstrap.draw(len(hold_out), spec.bootstrap_rounds, spec.confidence, spec.seed)
    everybody = Slice(*EVERYBODY, hold_out.targets)
    slices = [everybody, *slices_of(hold_out, bundle.catalogue, 0)]
    return CandidateReport(
        model_version=bundle.version,
        placement=placement.name,
        period_start=moment(hold_out.period.start).isoformat(),
        period_end=moment(hold_out.period.end).isoformat(),
        confidence=spec.confidence,
        users=len(hold_out),
        targets=len(found.item_ids),
        unknown_targets=sum(bundle.catalogue.ids.index(each) is None for each in found.item_ids),
        pool_size=dict(zip(CUT_OFFS, found.pool_size.mean(axis=1).tolist(), strict=True)),
        slices=tuple(
            _slice_recall(found, each, draws, len(hold_out)) for each in slices if any(each.targets)
        ),
    )


def find_targets(
    bundle: ModelBundle,
    hold_out: HoldOut,
    placement: Placement,
    on_shopper: Callable[[], object] = lambda: None,
) -> FoundAt:
    """Where the sources have what the shoppers went on to."""
    sources = tuple(n for n in bundle.sources if not placement.sources or n in placement.sources)
    columns: list[Float64Array] = []
    sizes: list[list[float]] = []
    # One thread: small systems are solved here, and BLAS threads would mostly wait for each other.
    with threadpool_limits(1, "blas"):
        for query, targets in zip(hold_out.queries, hold_out.targets, strict=True):
            items, ranks = _ranks(bundle, query, placement, sources)
            columns.append(_positions(ranks, _places(bundle, items, sorted(targets))))
            sizes.append([float((ranks.min(axis=0) <= k).sum()) for k in CUT_OFFS])
            on_shopper()
    s = len(sources)
    rows = np.concatenate(columns, axis=1)
    pairs = [(i, each) for i, wanted in enumerate(hold_out.targets) for each in sorted(wanted)]
    return FoundAt(
        sources,
        np.array([shopper for shopper, _ in pairs], np.int32),
        tuple(item_id for _, item_id in pairs),
        alone=rows[2 : 2 + s],
        union=rows[0],
        pool=rows[1],
        union_without=rows[2 + s : 2 + 2 * s],
        pool_without=rows[2 + 2 * s :],
        pool_size=np.array(sizes).T,
    )


def take_turns(ranks: Float64Array) -> Float64Array:
    """Position of each item when the lists take turns, 1-based, float64 (m,).

    Parameters
    ----------
    ranks
        Position of each item in each list, float64 (s, m); infinity where a list has it not.
    """
    best, first = ranks.min(axis=0), ranks.argmin(axis=0)
    listed = np.flatnonzero(np.isfinite(best))
    order = listed[np.lexsort((first[listed], best[listed]))]
    positions = np.full(ranks.shape[1], np.inf)
    positions[order] = np.arange(1, len(order) + 1)
    return positions


def _ranks(
    bundle: ModelBundle, query: Query, placement: Placement, sources: Sequence[str]
) -> tuple[Int32Array, Float64Array]:
    """Every proposed item, int32 (m,), and its position in the list of each source (s, m)."""
    mask = eligible_items(query, bundle.catalogue, placement).mask
    _, seeds = find_seeds(query, bundle, placement)
    # Together, as when serving: some choose from what the others propose.
    found = bundle.panel(placement.sources).propose(seeds, mask, CUT_OFFS[-1])
    lists = [found[name].item_idx for name in sources]
    items = np.unique(np.concatenate(lists)).astype(np.int32)
    ranks = np.full((len(lists), len(items)), np.inf)
    for row, listed in enumerate(lists):
        ranks[row, np.searchsorted(items, listed)] = np.arange(1, len(listed) + 1)
    return items, ranks


def _places(bundle: ModelBundle, items: Int32Array, targets: Sequence[str]) -> Int32Array:
    """Column of each target in `items`, int32 (targets,); one past the end: not proposed."""
    known = [bundle.catalogue.ids.index(item_id) for item_id in targets]
    wanted = np.array([-1 if index is None else index for index in known], np.int32)
    if not len(items):
        return np.zeros(len(wanted), np.int32)
    place = np.searchsorted(items, wanted).clip(0, len(items) - 1)
    return np.where(items[place] == wanted, place, len(items)).astype(np.int32)


def _positions(ranks: Float64Array, places: Int32Array) -> Float64Array:
    """The rows of `FoundAt`, one under the other: union, pool, alone, union and pool without."""
    without = [np.delete(ranks, row, axis=0) for row in range(len(ranks))]
    nothing = np.full((1, ranks.shape[1]), np.inf)
    rows = [
        take_turns(ranks),
        ranks.min(axis=0),
        *ranks,
        *(take_turns(np.concatenate([each, nothing])) for each in without),
        *(np.concatenate([each, nothing]).min(axis=0) for each in without),
    ]
    padded = np.concatenate([np.stack(rows), np.full((len(rows), 1), np.inf)], axis=1)
    chosen: Float64Array = padded[:, places]
    return chosen


def _slice_recall(found: FoundAt, part: Slice, draws: Bootstrap, shoppers: int) -> SliceRecall:
    pairs = zip(found.shopper.tolist(), found.item_ids, strict=True)
    kept = np.array([item_id in part.targets[shopper] for shopper, item_id in pairs], np.bool_)
    wanted = np.bincount(found.shopper[kept], minlength=shoppers)

    def recall(positions: Float64Array, k: int) -> Float64Array:
        hits = np.bincount(found.shopper[kept], positions[kept] <= k, shoppers)
        return np.where(wanted > 0, hits / np.minimum(np.maximum(wanted, 1), k), np.nan)

    def intervals(value: Callable[[int], Float64Array]) -> dict[int, Interval]:
        return {k: draws.interval(value(k)) for k in CUT_OFFS}

    def source(row: int, name: str) -> SourceRecall:
        union_without, pool_without = found.union_without[row], found.pool_without[row]
        return SourceRecall(
            name,
            intervals(lambda k: recall(found.alone[row], k)),
            intervals(lambda k: recall(found.union, k) - recall(union_without, k)),
            intervals(lambda k: recall(found.pool, k) - recall(pool_without, k)),
        )

    rows = (
        SourceRecall(UNION, intervals(lambda k: recall(found.union, k))),
        SourceRecall(POOL, intervals(lambda k: recall(found.pool, k))),
        *(source(row, name) for row, name in enumerate(found.sources)),
    )
    return SliceRecall(part.group, part.name, int((wanted > 0).sum()), int(wanted.sum()), rows)
