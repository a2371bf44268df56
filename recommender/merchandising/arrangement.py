"""Pins, promotions and constraints: the slots of a list filled one by one.

For each slot, the first of these that there is: the item pinned to it; where the slots that are
left are just enough for what constraints still want, the best item that one of them wants; the
next promoted item; the best item that is left. Nothing comes in twice, nor beyond an ``at_most``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

import numpy as np

from recommender.candidates.source import first_eligible
from recommender.explore_settings import MOST_REACH
from recommender.listing import NO_LISTING, Listing
from recommender.merchandising.active import ActiveRules
from recommender.merchandising.quotas import MATCHED, Quota, quotas_of
from recommender.merchandising.shop_rules import PinRule, PromotionRule
from recommender.merchandising.trace import Move
from recommender.ranking import Ranking, origins_of
from recommender.terms import STATIC, BoolArray, Int32Array

PINNED, PROMOTED = "pin", "promotion"


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A list of which rules placed some rows, and what stands below it.

    Parameters
    ----------
    placed
        Row → name of the promotion that brought it in, or None for a pinned item.
    spare
        Items that may be shown instead of others and are in no row, best first; empty where a
        constraint would have to be looked at.
    replaceable
        Rows that a spare item may take the place of; None: any that was not placed.
    is_one_scale
        All scores are of one scale.
    looked_at
        Where rules have a hand in the order, all items that they chose from, int32 (n,): the list
        is the same for everybody to whom all of these may be shown. None where no rule has.
    """

    listing: Listing
    placed: Mapping[int, str | None] = field(default_factory=dict)
    spare: Listing = NO_LISTING
    replaceable: Set[int] | None = None
    is_one_scale: bool = True
    looked_at: Int32Array | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A promoted item that waits for a slot."""

    rule: str
    row: int
    from_position: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """What slots are filled from: the ranking, then items that only rules bring in.

    Parameters
    ----------
    pins
        Position → (row, rule).
    promotions
        For each promotion that holds, the rows that it may bring in, best first.
    """

    ranking: Ranking
    ranked: int
    pins: Mapping[int, tuple[int, str]]
    promotions: Sequence[tuple[PromotionRule, Sequence[int]]]


def arranged(ranking: Ranking, active: ActiveRules, eligible: BoolArray, most: int) -> Arrangement:
    """The list as the shop's rules want it, as long as the question asks or constraints allow.

    Parameters
    ----------
    eligible
        Items that may be shown, bool (items,). A rule shows no other.
    most
        How many rows are looked at where no rule gives places; not fewer than are asked for.
    """
    if not active.is_placing:
        looked_at = ranking.item_idx if active.is_ordering else None
        return Arrangement(Listing.of(ranking, most), looked_at=looked_at)
    candidates = _candidates(ranking, active, eligible)
    items = candidates.ranking.item_idx
    length = active.query.limit
    while True:
        board = _Board(candidates, list(quotas_of(active, items)), length)
        board.fill()
        # A share is one of the slots that are really there.
        if len(board.chosen) == length or not candidates.promotions:
            break
        length = len(board.chosen)
    if active.trace is not None:
        active.trace.moves += board.moves
    spare = NO_LISTING
    if active.query.seed is not None and not board.is_bound:
        left = sorted({*range(candidates.ranked)} - {*board.chosen})
        spare = Listing.of(candidates.ranking.take(left[:MOST_REACH]))
    listing = Listing.of(candidates.ranking.take(board.chosen))
    return Arrangement(listing, board.placed, spare, looked_at=items)


class _Board:
    """The slots of one list, while they are filled."""

    def __init__(self, candidates: Candidates, quotas: list[Quota], length: int) -> None:
        self._candidates = candidates
        self._quotas = quotas
        self._length = length
        self._items = candidates.ranking.item_idx.tolist()
        self._is_used = [False] * len(self._items)
        self._pins = {place: pin for place, pin in candidates.pins.items() if place <= length}
        self._kept = {row for row, _ in self._pins.values()}
        self._next = 0
        self._claims = _claims(candidates, length)
        self.chosen: list[int] = []
        self.placed: dict[int, str | None] = {}
        self.moves: list[Move] = []

    @property
    def is_bound(self) -> bool:
        """Whether a constraint holds."""
        return bool(self._quotas)

    def fill(self) -> None:
        """Fill slot by slot, until the list is long enough or nothing more may come in."""
        for position in range(1, self._length + 1):
            row = self._row_for(position)
            if row is None:
                break
            self._is_used[row] = True
            self.chosen.append(row)
            for quota in self._quotas:
                quota.count(row)

    def _row_for(self, position: int) -> int | None:
        for find in (self._pinned, self._wanted, self._promoted, self._best, self._left_over):
            if (row := find(position)) is not None:
                return row
        return None

    def _pinned(self, position: int) -> int | None:
        row, rule = self._pins.pop(position, (-1, ""))
        if row < 0 or not self._may(row):
            return None
        self._place(row, rule, None)
        return row

    def _left_over(self, _position: int) -> int | None:
        """What is pinned further down, where the list ends before."""
        return next(
            (row for place in sorted(self._pins) if (row := self._pinned(place)) is not None), None
        )

    def _wanted(self, position: int) -> int | None:
        missing = [quota for quota in self._quotas if quota.missing]
        if sum(quota.missing for quota in missing) <= self._length - position - len(self._pins):
            return None
        for row in range(self._candidates.ranked):
            if row in self._kept or not self._may(row):
                continue
            for quota in missing:
                if quota.values[row] == MATCHED:
                    self._note(row, quota.name, len(self.chosen) + 1)
                    return row
        return None

    def _promoted(self, position: int) -> int | None:
        for claim in self._claims:
            if claim.from_position <= position and self._may(claim.row):
                self._claims.remove(claim)
                self._place(claim.row, claim.rule, claim.rule)
                return claim.row
        return None

    def _best(self, _position: int) -> int | None:
        while self._next < self._candidates.ranked:
            row, self._next = self._next, self._next + 1
            if self._is_used[row] or row in self._kept:
                continue
            full = next((quota for quota in self._quotas if not quota.has_room(row)), None)
            if full is None:
                return row
            self._note(row, full.name, None)
        return None

    def _may(self, row: int) -> bool:
        return not self._is_used[row] and all(quota.has_room(row) for quota in self._quotas)

    def _place(self, row: int, rule: str, promotion: str | None) -> None:
        self.placed[len(self.chosen)] = promotion
        self._note(row, rule, len(self.chosen) + 1)

    def _note(self, row: int, rule: str, to_position: int | None) -> None:
        was = row + 1 if row < self._candidates.ranked else None
        if was != to_position:
            self.moves.append(Move(rule, self._items[row], was, to_position))


def _claims(candidates: Candidates, length: int) -> list[Claim]:
    """What promotions may bring in: no more than their share, less what is in the list anyway."""
    claims = []
    anyway = {*range(min(length, candidates.ranked))}
    anyway |= {row for place, (row, _) in candidates.pins.items() if place <= length}
    for rule, rows in candidates.promotions:
        share = math.floor(rule.share * length + 1e-9)
        open_slots = max(0, share - sum(row in anyway for row in rows))
        brought = [row for row in rows if row not in anyway][:open_slots]
        claims += [Claim(rule.name, row, rule.from_position) for row in brought]
    return claims


def _candidates(ranking: Ranking, active: ActiveRules, eligible: BoolArray) -> Candidates:
    rows = {item: row for row, item in enumerate(ranking.item_idx.tolist())}
    added: dict[int, str] = {}

    def row_of(item: int, source: str) -> int:
        if item not in rows:
            rows[item] = len(rows)
            added[item] = source
        return rows[item]

    pins: dict[int, tuple[int, str]] = {}
    for item, position, rule in _pins(active, eligible):
        pins.setdefault(position, (row_of(item, PINNED), rule))
    promotions = [
        (rule, [row_of(item, PROMOTED) for item in _promotable(rule, ranking, active, eligible)])
        for rule in active.of(PromotionRule)
    ]
    return Candidates(_with(ranking, added), len(ranking), pins, promotions)


def _pins(active: ActiveRules, eligible: BoolArray) -> Iterator[tuple[int, int, str]]:
    """Item index, position and rule of what may be shown; the first rule has the position."""
    for rule in active.of(PinRule):
        for item_id, position in rule.items:
            index = active.catalogue.ids.index(item_id)
            if index is not None and eligible[index] and position <= active.query.limit:
                yield index, position, rule.name


def _promotable(
    rule: PromotionRule, ranking: Ranking, active: ActiveRules, eligible: BoolArray
) -> list[int]:
    """Items of a promotion that may be shown: the ranked ones, then the most popular others."""
    most = math.floor(rule.share * active.query.limit + 1e-9)
    if not most:
        return []
    ranked: list[int] = ranking.item_idx[active.matches(rule, ranking.item_idx)].tolist()
    if len(ranked) >= most + active.query.limit:
        return ranked
    others = active.matches(rule) & eligible
    others[ranking.item_idx] = False
    added: list[int] = first_eligible(active.catalogue.popular_order, others, most).tolist()
    return ranked + added


def _with(ranking: Ranking, added: Mapping[int, str]) -> Ranking:
    """A ranking with items below it that only rules bring in; they count as its best rung."""
    if not added:
        return ranking
    score = ranking.scores[-1] if len(ranking) else np.float32(1)
    level = ranking.listed_origins(1)[0].level if len(ranking) else STATIC
    sources = (PINNED, PROMOTED)
    brought = Ranking(
        np.array(list(added), np.int32),
        np.full(len(added), score, np.float32),
        np.array([sources.index(source) for source in added.values()], np.int64),
        origins_of(sources, level),
    )
    return ranking.joined(brought)
