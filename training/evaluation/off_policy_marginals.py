"""What logging shows in each slot whatever stands above, and the weights of the pseudo-inverse.

For the estimators that take slots one by one. Where one exploring slot is all that is left to
chance, slots are independent and logged probabilities are what is wanted. Where near-ties change
places, the lists that logging could have made from the record's candidates are gone through, each
with its probability; above `MOST_LISTS` of them nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from feature_store.records import DecisionRecord
from recommender.exploration import Slots
from recommender.terms import Float64Array, Int64Array
from training.evaluation.off_policy_slates import pseudo_inverse_weights
from training.evaluation.off_policy_support import Working, rows_of, working_of

MOST_LISTS = 2_000
_NEVER = -1
_Listed: TypeAlias = tuple[list[int], float]


@dataclass(frozen=True, slots=True)
class Marginals:
    """Of one logged list of n items.

    Parameters
    ----------
    propensity
        Probability of each shown item in its slot, whatever stands above, float64 (n,).
    weight
        Weight u of the list under the pseudo-inverse.
    """

    propensity: Float64Array
    weight: float


def marginals_of(record: DecisionRecord, target: Sequence[str]) -> Marginals | None:
    """What the estimators slot by slot need of a list; None where the record does not tell.

    Parameters
    ----------
    target
        Item ids of the target's list. What logging could not show counts as never shown.
    """
    working = working_of(record)
    shown = rows_of(record, [item.item_id for item in record.items])
    if working is None or shown is None:
        return None
    rows = {item_id: row for row, (item_id, _) in enumerate(record.candidates)}
    wanted = [rows.get(item_id, _NEVER) for item_id in target[: len(shown)]]
    wanted += [_NEVER] * (len(shown) - len(wanted))
    if not working[1].settings.has_swaps:
        given = np.array([item.p_slot for item in record.items])
        return Marginals(given, 1 + float((np.equal(shown, wanted) / given - 1).sum()))
    listed = lists_of(working, len(shown))
    return None if listed is None else _worked_out(*listed, shown, wanted)


def lists_of(working: Working, length: int) -> tuple[Int64Array, Float64Array] | None:
    """All lists that logging could have made, int64 (l, n), and their probabilities, float64 (l,).

    None where there are more than `MOST_LISTS`.
    """
    found: list[_Listed] = []
    for each in _lists(working, length, [], 1.0):
        found.append(each)
        if len(found) > MOST_LISTS:
            return None
    rows, shares = zip(*found, strict=True)
    return np.array(rows, np.int64), np.array(shares)


def _lists(
    working: Working, length: int, above: list[int], probability: float
) -> Iterator[_Listed]:
    if len(above) == length:
        yield above, probability
        return
    ranking, leeway = working
    slots = Slots(ranking, length, leeway)
    for row in above:
        slots.take(row)
    for option in slots.options(len(above)):
        chance = probability * option.propensity
        yield from _lists(working, length, [*above, option.row], chance)


def _worked_out(
    lists: Int64Array, share: Float64Array, shown: Sequence[int], wanted: Sequence[int]
) -> Marginals | None:
    propensity = np.array([share[lists[:, k] == row].sum() for k, row in enumerate(shown)])
    # Only items that can be shown count: the others would be columns of zeros.
    items = np.unique(lists)
    target = np.equal.outer(wanted, items).astype(np.float64)
    numbered = np.searchsorted(items, lists)
    one = np.searchsorted(items, np.array([shown]))
    weight = float(pseudo_inverse_weights(numbered, share, target, one)[0])
    return Marginals(propensity, weight)
