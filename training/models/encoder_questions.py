"""What the encoder is taught with: at each moment of a shopper's way, what was met before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Float64Array, Int32Array, Int64Array
from training.known_events import KnownEvents

# Odd, so that powers of it tell the places of a way apart (modulo 2 ** 64).
_MIX = np.int64(1_000_003)


@dataclass(frozen=True, slots=True)
class EncoderQuestions:
    """Moments, and the items that came at each.

    Parameters
    ----------
    met, lags
        The latest distinct items before each moment, newest first, -1 behind the last, and the lag
        of each as `recommender.seeds.Seeds.lags` counts it; int32 (moments, depth).
    begins
        Where the items of each moment begin in `came`, and where those of the last one end; int64
        (moments + 1,).
    came
        int32 (n,), ascending within a moment.
    """

    met: Int32Array
    lags: Int32Array
    begins: Int64Array
    came: Int32Array

    def __len__(self) -> int:
        return len(self.met)

    @property
    def sizes(self) -> Int64Array:
        """How many items came at each moment, int64 (moments,)."""
        return np.diff(self.begins)

    def answers(self, asked: Int64Array) -> tuple[Int64Array, Int32Array]:
        """What came at the moments asked: the place of each item's moment among them, the item."""
        begins = self.begins[asked]
        return _slices(begins, self.begins[asked + 1] - begins, self.came)


def encoder_questions(
    events: KnownEvents, weight_by_code: Float64Array, depth: int, most: int
) -> EncoderQuestions:
    """The latest moments, at which at most so many items came but for those of the last one taken.

    Only events that count as interest are steps; a shopper's first moment has nothing before it.
    Everything of one moment (a basket) is asked for by what came before all of it. The order is
    that of time: it does not depend on how shoppers are numbered.
    """
    known = events[weight_by_code[events.event_code] > 0]
    is_new_shopper = np.diff(known.shopper_idx, prepend=-1) != 0
    begins = np.flatnonzero(is_new_shopper | (np.diff(known.ts, prepend=-1) != 0))
    sizes = np.diff(np.append(begins, len(known)))
    kept = ~is_new_shopper[begins]
    kept &= known.ts[begins] >= _first_moment(known.ts[begins], np.where(kept, sizes, 0), most)
    begins, sizes = begins[kept], sizes[kept]
    met = np.full((len(begins), depth), -1, np.int32)
    lags = np.zeros((len(begins), depth), np.int32)
    _look_back(begins, known.shopper_idx, known.item_idx, known.ts, met, lags)
    moment, place = _places(sizes)
    came = known.item_idx[begins[moment] + place]
    came = came[np.lexsort((came, moment))]
    ends = np.cumsum(sizes)
    way = met.astype(np.int64) @ (_MIX ** np.arange(depth, dtype=np.int64))
    mixed = np.cumsum(came * _MIX**place)
    basket = np.diff(mixed[ends - 1], prepend=0)
    order = np.lexsort((basket, way, known.ts[begins]))
    _, came = _slices((ends - sizes)[order], sizes[order], came)
    return EncoderQuestions(met[order], lags[order], np.append(0, np.cumsum(sizes[order])), came)


def _slices(
    begins: Int64Array, sizes: Int64Array, values: Int32Array
) -> tuple[Int64Array, Int32Array]:
    """Values of several slices behind each other, and the number of the slice of each."""
    number, place = _places(sizes)
    return number, values[begins[number] + place]


def _places(sizes: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Of each value of slices behind each other the number of its slice, and its place there."""
    number = np.repeat(np.arange(len(sizes)), sizes)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _first_moment(ts: Int64Array, sizes: Int64Array, most: int) -> int:
    """From which on there are just about so many questions."""
    newest = np.argsort(-ts, kind="stable")
    reached = int(np.searchsorted(np.cumsum(sizes[newest]), most))
    return int(ts[newest[reached]]) if reached < len(ts) else 0


@kernel
def _look_back(
    begins: Int64Array,
    shopper: Int32Array,
    item: Int32Array,
    ts: Int64Array,
    met: Int32Array,
    lags: Int32Array,
) -> None:
    depth = met.shape[1]
    for row in range(begins.shape[0]):
        event = begins[row] - 1
        found, lag, moment = 0, -1, np.int64(-1)
        while found < depth and event >= 0 and shopper[event] == shopper[begins[row]]:
            is_known = False
            for other in range(found):
                if met[row, other] == item[event]:
                    is_known = True
                    break
            if not is_known:
                if ts[event] != moment:
                    lag, moment = lag + 1, ts[event]
                met[row, found] = item[event]
                lags[row, found] = lag
                found += 1
            event -= 1
