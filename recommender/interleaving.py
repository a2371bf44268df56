"""Team-draft interleaving: two rankings in one list.

Radlinski, Kurup and Joachims 2008, *How does clickthrough data reflect retrieval quality?*: in each
round a coin says which ranking drafts first; each takes its best item that is not in the list yet.
A round is *competitive* where the two rankings would have taken different items at its beginning:
only there does an outcome say anything about which is better; see `recommender.preference`.

Propensities are exact, given the two rankings: a coin is fair, who took a common item is not to be
seen, and once a list is exhausted nothing is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from recommender.draws import word_at
from recommender.slate import Slate, SlateItem
from recommender.terms import LADDER

FIRST: Final = 0
SECOND: Final = 1
POLICY: Final = "team_draft"

Coin = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Pick:
    """One drafted item.

    Parameters
    ----------
    team
        `FIRST` or `SECOND`: the ranking that drafted it.
    competitive
        The rankings wanted different items when its round began.
    propensity
        Probability of this item here given the items above, in (0, 1].
    """

    item_id: str
    team: int
    competitive: bool
    propensity: float


@dataclass(frozen=True, slots=True)
class DraftState:
    """Where a draft stands: give it to the next page.

    Parameters
    ----------
    rounds
        Rounds begun.
    waiting
        Team that has yet to draft in the running round; None between rounds.
    competitive
        Of the running round.
    is_told
        The first item of the running round tells who drafted it.
    taken
        Items drafted so far, in order.
    """

    rounds: int = 0
    waiting: int | None = None
    competitive: bool = False
    is_told: bool = False
    taken: tuple[str, ...] = ()


START: Final = DraftState()


def fair_coin(seed: int) -> Coin:
    """Which team drafts first in a round, by the round's number: the same for the same seed.

    The top bit of the seed's stream, see `recommender.draws`.
    """
    return lambda number: word_at(seed, number) >> 63


def team_draft(
    first: Sequence[str],
    second: Sequence[str],
    limit: int,
    coin: Coin,
    state: DraftState = START,
) -> tuple[list[Pick], DraftState]:
    """Draft at most `limit` further items.

    Parameters
    ----------
    first, second
        Item ids, best first, no item twice.
    coin
        `fair_coin` of the seed of the answer, or of the list that is continued.
    state
        Of the page before. Items that it has taken are passed over, also where the rankings have
        changed since.

    Returns
    -------
    picks, state
        In the order shown, and where the draft stands behind them. Fewer than `limit` where both
        rankings are exhausted.
    """
    rankings, picks = (first, second), list[Pick]()
    while len(picks) < limit:
        wanted = _wanted(rankings, state.taken)
        if wanted == (None, None):
            break
        pick, state = _second_pick(state, wanted) or _first_pick(state, wanted, coin)
        picks.append(pick)
    return picks, state


def whole_rounds(first: Sequence[str], second: Sequence[str], limit: int, coin: Coin) -> list[Pick]:
    """A draft without a last round that the limit cuts in two: both teams have as many places.

    A fair coin is as fair without; lists of a fixed first team need it.
    """
    picks, state = team_draft(first, second, limit, coin)
    is_cut = state.waiting is not None
    is_cut = is_cut and _wanted((first, second), state.taken)[state.waiting or FIRST] is not None
    return picks[:-1] if is_cut else picks


@dataclass(frozen=True, slots=True)
class Interleaving:
    """How two slates become one.

    Parameters
    ----------
    names
        Variants that the teams stand for: the first slate's, the second's.
    limit
        Length of the list, items only.
    seed
        Of the coin.
    """

    names: tuple[str, str]
    limit: int
    seed: int
    state: DraftState = START


def interleaved(
    first: Slate, second: Callable[[], Slate], plan: Interleaving | None
) -> tuple[Slate, DraftState]:
    """One slate of two, each item with its team.

    Ways where to go stay where the first slate has them; items fill the other positions. What the
    slates put into their first places themselves, by chance or by rules, is taken as given: the
    propensities are those of the draft times the item's own.

    Parameters
    ----------
    second
        Makes the other slate; not called without a plan.
    plan
        None for who does not take part: the first slate as it is.
    """
    if plan is None:
        return first, START
    other = second()
    slates = (first, other)
    one, two = ([item.item_id for item in slate.items] for slate in slates)
    picks, state = team_draft(one, two, plan.limit, fair_coin(plan.seed), plan.state)
    known = [{item.item_id: item for item in slate.items} for slate in slates]
    taken_positions = {way.position for way in first.ways}
    free = (place for place in range(1, plan.limit + len(taken_positions) + 1))
    places = islice((place for place in free if place not in taken_positions), len(picks))
    items = tuple(
        _placed(known[pick.team][pick.item_id], pick, place, plan.names)
        for pick, place in zip(picks, places, strict=True)
    )
    own = {item_id for item_id, _ in first.candidates}
    return replace(
        first,
        items=items,
        policy=POLICY,
        fallback_level=min((each.fallback_level for each in slates), key=LADDER.index),
        eligible_count=max(each.eligible_count for each in slates),
        candidates=(*first.candidates, *(each for each in other.candidates if each[0] not in own)),
    ), state


def _wanted(
    rankings: tuple[Sequence[str], Sequence[str]], taken: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """The best item of each ranking that is not taken; None where there is none."""
    gone = set(taken)
    first, second = (
        next((item for item in ranking if item not in gone), None) for ranking in rankings
    )
    return first, second


def _second_pick(
    state: DraftState, wanted: tuple[str | None, str | None]
) -> tuple[Pick, DraftState] | None:
    """The pick that ends the running round; None where there is none to make."""
    team = state.waiting
    if team is None or (item := wanted[team]) is None:
        return None
    # Nobody sees who took a common item, so either team could be the one that drafts now.
    is_open = not state.is_told and wanted[1 - team] not in (None, item)
    pick = Pick(item, team, state.competitive, 0.5 if is_open else 1.0)
    return pick, replace(state, waiting=None, taken=(*state.taken, item))


def _first_pick(
    state: DraftState, wanted: tuple[str | None, str | None], coin: Coin
) -> tuple[Pick, DraftState]:
    """The pick that begins a round; a ranking that is left alone has rounds of one."""
    team, is_alone = coin(state.rounds), None in wanted
    item = wanted[team]
    if item is None:
        team = 1 - team
        item = str(wanted[team])
    differ = not is_alone and wanted[FIRST] != wanted[SECOND]
    waiting = None if is_alone else 1 - team
    taken = (*state.taken, item)
    pick = Pick(item, team, differ, 0.5 if differ else 1.0)
    return pick, DraftState(state.rounds + 1, waiting, differ, differ, taken)


def _placed(item: SlateItem, pick: Pick, position: int, names: tuple[str, str]) -> SlateItem:
    return item._replace(
        position=position,
        propensity=item.propensity * pick.propensity,
        team=names[pick.team],
        competitive=pick.competitive,
    )
