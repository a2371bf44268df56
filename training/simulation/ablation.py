"""Parts of personalisation that a policy of the closed loop can do without, each alone or several.

Each is a change of the placements, so the pipeline that is judged is the one that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from recommender.errors import InvalidInputError
from recommender.fatigue_settings import NO_FATIGUE
from recommender.pace_table import NO_PACE
from recommender.placements import Placement
from recommender.terms import ITEM, NAVIGATION_KINDS

PLAIN: Final = "plain"


def _tireless(place: Placement) -> Placement:
    return replace(place, fatigue=NO_FATIGUE)


def _paceless(place: Placement) -> Placement:
    return replace(place, pace=NO_PACE)


def _kindless(place: Placement) -> Placement:
    kinds = (ITEM, *(kind for kind in place.kinds if kind in NAVIGATION_KINDS))
    at_most = {kind: most for kind, most in place.at_most.items() if kind == ITEM}
    return replace(place, kinds=kinds, kind_order=(), at_most=at_most)


def _doseless(place: Placement) -> Placement:
    return replace(place, max_changed_share=1.0)


def _floorless(place: Placement) -> Placement:
    return replace(place, path_floor=0.0)


_WITHOUT: Final[Mapping[str, Callable[[Placement], Placement]]] = {
    "paceless": _paceless,
    "kindless": _kindless,
    "tireless": _tireless,
    "doseless": _doseless,
    "floorless": _floorless,
}
ABLATIONS: Final = (*_WITHOUT, PLAIN)
"""What may stand behind a policy; `PLAIN` is all the others."""


def taken_apart(policy: str) -> tuple[str, tuple[str, ...]]:
    """A policy and the parts that it does without: ``file:plain`` is ``file`` without all of them.

    ``paceless``
        no mode of a visit changes anything
    ``kindless``
        nothing is offered as to be bought again, resumed or going with the cart; the items may
        still be shown, as plain ones
    ``tireless``
        nothing that was ignored is rested, and no budget is spent
    ``doseless``
        any number of entries may differ from what anybody would get
    ``floorless``
        with the objective ``path``, lists are as long as asked for
    ``plain``
        all of this

    Raises
    ------
    InvalidInputError
        An unknown part, or one that is taken away twice.
    """
    base, *named = policy.split(":")
    parts = [part for one in named for part in (_WITHOUT if one == PLAIN else (one,))]
    if unknown := [part for part in parts if part not in _WITHOUT]:
        raise InvalidInputError(
            f"policy {policy!r}: no part is called {unknown[0]!r}; accepted behind a policy: "
            f"{', '.join(':' + part for part in ABLATIONS)}, several if wanted"
        )
    if len(set(parts)) < len(parts):
        raise InvalidInputError(
            f"policy {policy!r}: a part is taken away twice; accepted behind a policy: "
            f"{', '.join(':' + part for part in _WITHOUT)}, each once, or :{PLAIN} alone"
        )
    return base, tuple(parts)


def ablated(place: Placement, parts: Sequence[str]) -> Placement:
    """A placement without some parts."""
    for part in parts:
        place = _WITHOUT[part](place)
    return place
