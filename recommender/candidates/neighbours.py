"""Items that follow from the shopper's items: neighbours and co-visitation as stored lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from recommender.candidates.best import keep_best
from recommender.candidates.proposals import Proposals, Rows
from recommender.candidates.source import CandidateSource
from recommender.compiled import kernel
from recommender.read_only import read_only
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.terms import (
    EVENT_CODES,
    BoolArray,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)

# However far behind, a step counts: a worth of 0 says that its item was not met.
_LEAST: Final = np.finfo(np.float32).tiny
# Sources that one call looks at: kernels take so many lists, empty ones where there are fewer.
LISTS_AT_ONCE: Final = 12
_NO_IDX, _NO_WEIGHT = (read_only(np.empty((0, 0), kind)) for kind in (np.int32, np.float32))


@dataclass(frozen=True, slots=True)
class NeighbourSource(CandidateSource):
    """Weighted sum over the neighbour lists of the seeds.

    Parameters
    ----------
    neighbour_idx
        Neighbours of each item, int32 (items, width), padded with -1.
    neighbour_weight
        Their weights, float32 (items, width), padded with 0.
    seed_events
        Event types that this source starts from; empty means all.
    lag_decay
        What a seed counts for each later moment that it is behind, in (0, 1].
    """

    neighbour_idx: Int32Array
    neighbour_weight: Float32Array
    seed_events: tuple[str, ...] = ()
    lag_decay: float = 1.0

    _alone: NeighbourGroup = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        (alone,) = NeighbourGroup.of({0: self})
        object.__setattr__(self, "_alone", alone)

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of item j: the sum over seeds i of seed weight times w(i → j)."""
        self._alone.fill(seeds, eligible, proposals.within(slice(row, row + 1)))

    @property
    def types(self) -> int:
        """The event types that count, one bit each."""
        return sum(1 << EVENT_CODES[name] for name in self.seed_events) or -1


class Lists(NamedTuple):
    """The fields of some sources.

    Parameters
    ----------
    rows
        Row of the proposals that each one fills, int64 (sources,).
    types
        The bit of each event type that counts, int64 (sources,).
    lag_decay
        float64 (sources,).
    neighbours, weights
        `LISTS_AT_ONCE` arrays each.
    """

    rows: Int64Array
    types: Int64Array
    lag_decay: Float64Array
    neighbours: tuple[Int32Array, ...]
    weights: tuple[Float32Array, ...]


@dataclass(frozen=True, slots=True)
class NeighbourGroup:
    """Sources with neighbour lists that are asked in one call, at most `LISTS_AT_ONCE`."""

    lists: Lists

    @classmethod
    def of(cls, sources: Mapping[int, NeighbourSource]) -> tuple[NeighbourGroup, ...]:
        """These sources, by the row of the proposals that each one fills."""
        rows, listed = np.array([*sources], np.int64), [*sources.values()]
        types = np.array([each.types for each in listed], np.int64)
        decays = np.array([each.lag_decay for each in listed], np.float64)
        return tuple(
            cls(Lists(rows[part], types[part], decays[part], idx, weights))
            for part, idx, weights in in_parts(listed)
        )

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals) -> None:
        """Note what each source proposes, as far as the proposals have a row for it."""
        steps = Steps(seeds.item_idx, seeds.event_codes, seeds.weights, seeds.ages)
        work = (
            scratch("neighbour_sums", len(eligible), np.float64),
            scratch("seed_worth", len(eligible), np.float64),
        )
        _list_all(self.lists, steps, eligible, work, proposals.rows)


def in_parts(
    sources: Sequence[NeighbourSource],
) -> Iterator[tuple[slice, tuple[Int32Array, ...], tuple[Float32Array, ...]]]:
    """The sources in parts that a kernel takes, with `LISTS_AT_ONCE` lists and their weights."""
    for begin in range(0, len(sources), LISTS_AT_ONCE):
        part = sources[begin : begin + LISTS_AT_ONCE]
        missing = LISTS_AT_ONCE - len(part)
        idx = [read_only(each.neighbour_idx) for each in part]
        weight = [read_only(each.neighbour_weight) for each in part]
        end = begin + len(part)
        yield slice(begin, end), (*idx, *(_NO_IDX,) * missing), (*weight, *(_NO_WEIGHT,) * missing)


class Steps(NamedTuple):
    """The fields of `Seeds` that say how much each counts."""

    items: Int32Array
    codes: Int32Array
    weights: Float32Array
    ages: Float32Array


@kernel
def _list_all(
    lists: Lists,
    steps: Steps,
    eligible: BoolArray,
    work: tuple[Float64Array, Float64Array],
    proposals: Rows,
) -> None:
    """The best eligible neighbours by summed weights; `work` is zero, and so at the end."""
    item_idx, scores, counts = proposals
    sums, worth = work
    for source in range(len(lists.rows)):
        row = lists.rows[source]
        if row >= len(counts):
            continue
        items, strengths = _worth(steps, lists.types[source], lists.lag_decay[source], worth)
        found, said = _added_up(
            lists.neighbours[source], lists.weights[source], items, strengths, eligible, sums
        )
        counts[row] = keep_best(found, said, item_idx[row], scores[row])


@kernel
def _added_up(
    neighbours: Int32Array,
    weights: Float32Array,
    items: Int32Array,
    strengths: Float32Array,
    eligible: BoolArray,
    sums: Float64Array,
) -> tuple[Int32Array, Float32Array]:
    """Eligible neighbours of these items and the sum of their weights: int32, float32 (m,)."""
    # One place more than there are entries: each is written before it is known to be new.
    found = np.empty(len(items) * neighbours.shape[1] + 1, np.int32)
    count = 0
    for place in range(len(items)):
        listed, weight, strength = neighbours[items[place]], weights[items[place]], strengths[place]
        for column in range(len(listed)):
            if listed[column] < 0:
                continue
            item = np.uint32(listed[column])
            found[count] = item
            count += sums[item] == 0
            sums[item] += weight[column] * strength
    scores = np.empty(count, np.float32)
    for place in range(count):
        item = np.uint32(found[place])
        # What came back to 0 in between is there twice: the second time with nothing.
        scores[place] = sums[item] if eligible[item] else 0
        sums[item] = 0
    return found[:count], scores


@kernel
def _worth(
    steps: Steps, types: int, lag_decay: float, worth: Float64Array
) -> tuple[Int32Array, Float32Array]:
    """The items that count, ascending, and the decayed weight of each: int32, float32 (m,).

    Lags are those of `Seeds.lags` among the steps that count.
    """
    items = np.empty(steps.items.shape[0], np.int32)
    count, lag, moment = 0, -1, np.float32(-1)
    for place in range(steps.items.shape[0] - 1, -1, -1):
        if not (types >> steps.codes[place]) & 1:
            continue
        item = steps.items[place]
        if worth[item] == 0:
            items[count] = item
            count += 1
            if steps.ages[place] != moment:
                lag += 1
            moment = steps.ages[place]
        decayed = np.float64(steps.weights[place]) * lag_decay**lag
        worth[item] += max(np.float32(decayed), _LEAST)
    items = np.sort(items[:count])
    strengths = np.empty(count, np.float32)
    for place in range(count):
        strengths[place] = worth[items[place]]
        worth[items[place]] = 0
    return items, strengths
