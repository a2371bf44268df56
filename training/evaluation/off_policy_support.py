"""What logging could have shown, worked out from the candidates of a record.

A record does not say which rows of its ranking were fixed or replaceable. So the ways in which its
list may have come about are tried, and one is believed only where it gives the logged probabilities
of the logged list; where none does, nothing but the logged list counts as possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, product
from math import fsum, log, prod
from typing import Final

import msgspec
import numpy as np

from feature_store.records import DecisionItem, DecisionRecord, ExploreRecord
from recommender.exploration import Slots, likelihood
from recommender.explore_settings import NO_SCHEME, ExploreSettings
from recommender.listing import Listing
from recommender.merchandising.arrangement import PINNED, PROMOTED
from recommender.policy import Leeway
from recommender.ranking import Origin
from recommender.terms import ITEM, PERSONALISED
from training.evaluation.off_policy import standard_error

_CLOSE: Final = 1e-6
Working = tuple[Listing, Leeway]


def working_of(record: DecisionRecord) -> Working | None:
    """A ranking and its leeway that give the logged probabilities; None where none is found."""
    logged = rows_of(record, [item.item_id for item in record.items])
    if record.explore.scheme == NO_SCHEME or logged is None:
        return None
    propensities = [item.p_slot for item in record.items]
    for ranking, leeway in _workings(record):
        found = likelihood(ranking, len(logged), leeway, logged)
        if np.allclose(found, propensities, atol=_CLOSE, rtol=_CLOSE):
            return ranking, leeway
    return None


def is_supported(record: DecisionRecord, target: Sequence[str]) -> bool:
    """Whether logging could have shown these items, by what the record tells."""
    if [item.item_id for item in record.items] == list(target):
        return True
    working, rows = working_of(record), rows_of(record, target)
    if working is None or rows is None or len(rows) < len(record.items):
        return False
    ranking, leeway = working
    return min(likelihood(ranking, len(rows), leeway, rows)) > 0


def rows_of(record: DecisionRecord, item_ids: Sequence[str]) -> list[int] | None:
    """Row of each item among the candidates; None where one is not among them."""
    rows = {item_id: row for row, (item_id, _) in enumerate(record.candidates)}
    found = [rows[item_id] for item_id in item_ids if item_id in rows]
    return found if len(found) == len(item_ids) else None


def _workings(record: DecisionRecord) -> Iterator[tuple[Listing, Leeway]]:
    """Ways in which the logged list may have come about; the record does not name the rows.

    With and without candidates below the list among those that change places; any slot in which
    chance took part may be the exploring one.
    """
    n, settings = len(record.items), _settings(record.explore)
    whole = _ranking(record.candidates)
    places = {item.slot: row for row, item in enumerate(record.items)}
    fixed = {row for row, item in enumerate(record.items) if _is_fixed(item)}
    slots = [frozenset({places[slot]}) for slot in reversed(record.explore.slots) if slot in places]
    below = range(n, len(whole))
    cut = (whole.take(range(n)), whole.take(below))
    for replaceable, (ranking, spare) in product(
        chain(slots, [None]), ((whole, whole.take([])), cut)
    ):
        yield ranking, Leeway(settings, fixed, replaceable, spare)


def _settings(explore: ExploreRecord) -> ExploreSettings:
    return ExploreSettings(
        epsilon=explore.epsilon,
        reach=explore.reach,
        temperature=explore.temperature,
        gap=explore.gap,
    )


def _ranking(candidates: tuple[tuple[str, float], ...]) -> Listing:
    n = len(candidates)
    scores = np.array([score for _, score in candidates], np.float32).tolist()
    return Listing([*range(n)], scores, [Origin("", PERSONALISED)] * n)


def _is_fixed(item: DecisionItem) -> bool:
    return item.kind != ITEM or item.source in (PINNED, PROMOTED) or item.promotion is not None


class Check(msgspec.Struct, frozen=True):
    """One check of logged propensities.

    Parameters
    ----------
    is_met
        None where the log does not hold enough to tell.
    is_by_chance
        A true log misses it now and then, so that it warns and refuses nothing.
    """

    name: str
    is_met: bool | None
    found: str
    is_by_chance: bool = False


def check_records(records: Sequence[DecisionRecord]) -> tuple[Check, ...]:
    """Whether the propensities of some answers can be true."""
    bad = sum(not 0 < item.p_slot <= 1 for record in records for item in record.items)
    sums = sum(not _adds_up(record) for record in records) if not bad else 0
    chance = sum(not _names_its_slots(record) for record in records)
    return (
        Check("every p_slot lies above 0 to 1", bad == 0, f"{bad} do not"),
        Check("slate_propensity_log is the sum of its logarithms", sums == 0, f"{sums} are not"),
        Check("chance took part where the record says", chance == 0, f"{chance} differ"),
        *_worked_out(records),
    )


def _adds_up(record: DecisionRecord) -> bool:
    logs = [log(each.p_slot) for each in record.items] + [log(each.p_slot) for each in record.ways]
    return abs(fsum(logs) - record.slate_propensity_log) < _CLOSE


def _names_its_slots(record: DecisionRecord) -> bool:
    return record.explore.slots == tuple(each.slot for each in record.items if each.p_slot < 1)


def _worked_out(records: Sequence[DecisionRecord]) -> Iterator[Check]:
    """Checks of those records whose probabilities can be worked out again."""
    known = [(each, working) for each in records if (working := working_of(each))]
    off = max((_off_one(*each) for each in known), default=0.0)
    name = "probabilities over what a slot may show sum to 1 ± 1e-9"
    yield Check(name, off <= 1e-9 if known else None, f"off by {off:.1e}, of {len(known)} answers")
    weight = np.array([_second_weight(*each) for each in known])
    name = "the mean weight of a second, known policy is 1 within three standard errors"
    if len(weight) < 2:
        yield Check(name, None, f"{len(weight)} answers", is_by_chance=True)
        return
    mean, error = float(weight.mean()), standard_error(weight - weight.mean(), None)
    is_met = abs(mean - 1) <= 3 * error + 1e-9
    yield Check(name, is_met, f"{mean:.4f} ± {error:.4f}", is_by_chance=True)


def _off_one(record: DecisionRecord, working: Working) -> float:
    ranking, leeway = working
    slots, worst = Slots(ranking, len(record.items), leeway), 0.0
    rows = rows_of(record, [item.item_id for item in record.items]) or []
    for slot, row in enumerate(rows):
        worst = max(worst, abs(fsum(each.propensity for each in slots.options(slot)) - 1))
        slots.take(row)
    return worst


def _second_weight(record: DecisionRecord, working: Working) -> float:
    """Weight of the list under half as much chance: another policy with the same support."""
    ranking, leeway = working
    settings = leeway.settings
    less = replace(settings, epsilon=settings.epsilon / 2, temperature=settings.temperature * 0.8)
    rows = rows_of(record, [item.item_id for item in record.items]) or []
    second = likelihood(ranking, len(rows), replace(leeway, settings=less), rows)
    return prod(second) / prod(item.p_slot for item in record.items)
