"""Lets the shop's pages be filled by the serving pipeline in this process, without a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from feature_store.online.known import known_of
from feature_store.online.memory import MemoryStore
from feature_store.online.state import SESSION_GAP
from feature_store.online.visitors import VisitorOptions, Visitors
from recommender.bundle import ModelBundle
from recommender.errors import InvalidInputError
from recommender.fatigue_settings import NO_FATIGUE
from recommender.pipeline import recommend
from recommender.placements import OBJECTIVES, Placement
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.terms import IDENTIFY, INTERACTION_TYPES, KINDS, VIEW_ITEM_LIST
from training.dataset import moment
from training.simulation.encode import Encoder
from training.simulation.recommenders import PageContext, Suggestion
from training.simulation.recorder import EventChunk
from training.simulation.service import PLACEMENTS
from training.simulation.truth import OracleRecommender
from training.simulation.ways import SuggestedWay

POPULARITY: Final = "popularity"
NOTHING: Final = "nothing"
SHOP: Final = "shop"
ORACLE: Final = "oracle"
TIRELESS: Final = "tireless"
WAYS: Final = "ways"
POLICIES: Final = ("file", *OBJECTIVES, WAYS, POPULARITY, NOTHING, SHOP, ORACLE)
_HEARD: Final = frozenset({*INTERACTION_TYPES, IDENTIFY, VIEW_ITEM_LIST})
_FOR_EVER = VisitorOptions(ttl_seconds=3650 * 86_400)


@dataclass(frozen=True, slots=True)
class Answering:
    """One way to fill the shop's lists.

    Parameters
    ----------
    bundle
        None shows nothing.
    placements
        By name; pages ask at their own, searches at ``category``.
    """

    name: str
    bundle: ModelBundle | None = None
    placements: Mapping[str, Placement] | None = None


Way: TypeAlias = Answering | OracleRecommender | None
"""How the shop's lists are filled; None: with its own static ones."""


def answering(name: str, bundle: ModelBundle, placements: Mapping[str, Placement]) -> Way:
    """A way to answer by its name, see `POLICIES`; None is the shop's own static lists.

    ``file`` takes the placements as they are, an objective sets it at every place, ``ways`` also
    suggests where to go, ``popularity`` lets that source alone propose, ``nothing`` shows empty
    lists, ``oracle`` knows what everybody wants and is the most that lists can do. With
    ``:tireless`` behind it, such as ``path:tireless``, no list takes notice of what was ignored.
    Raises `InvalidInputError`.
    """
    base, colon, way = name.partition(":")
    if base not in POLICIES or (colon and way != TIRELESS):
        raise InvalidInputError(
            f"policy {name!r}; accepted: {', '.join(POLICIES)}, with or without :{TIRELESS}"
        )
    if base == SHOP:
        return None
    if base == ORACLE:
        return OracleRecommender()
    if base == NOTHING:
        return Answering(name)
    changes: dict[str, object] = {"objective": base} if base in OBJECTIVES else {}
    if base == WAYS:
        changes = {"kinds": KINDS}
    if base == POPULARITY:
        changes = {"sources": (POPULARITY,)}
    if way:
        changes["fatigue"] = NO_FATIGUE
    places = {key: replace(place, **changes) for key, place in placements.items()}  # type: ignore[arg-type]
    return Answering(name, bundle, places)


class PipelineRecommender:
    """Answers pages as the service does: visitor states of all events so far, then the pipeline.

    It is listener and recommender of one shop. What it knows of a shopper is what the service
    would: the states of `feature_store.online`, joined when somebody logs in.

    Attributes
    ----------
    encoder
        Of the shop; set after the shop was built with this listener.
    asked
        Number of lists that the pipeline filled.
    """

    def __init__(self, answering: Answering | None = None) -> None:
        self._visitors = Visitors(MemoryStore(lambda: 0), _FOR_EVER)
        self._policy = TopPolicy()
        self._answering = answering
        self.encoder: Encoder | None = None
        self.asked = 0

    def hear(self, chunk: EventChunk) -> None:
        """Take events of the shop; whoever never answers from a model need not remember them."""
        if self._answering is None or self._answering.bundle is None:
            return
        if self.encoder is None:
            raise InvalidInputError("no encoder yet; set PipelineRecommender.encoder")
        if chunk.event_type in _HEARD and not _is_listing(chunk):
            self._visitors.apply(self.encoder.events(chunk))

    def __call__(self, context: PageContext) -> Sequence[str] | Suggestion:
        """Fill a list."""
        chosen = self._answering
        if chosen is None or chosen.bundle is None:
            return ()
        places = chosen.placements or {}
        name = PLACEMENTS.get(context.placement, context.placement)
        if name not in places:
            raise InvalidInputError(
                f"the shop asks at placement {name!r}; there are: {', '.join(sorted(places))}"
            )
        self.asked += 1
        slate = recommend(self._query(context), chosen.bundle, places[name], self._policy)
        item_ids = [item.item_id for item in slate.items]
        if not slate.ways:
            return item_ids
        way = slate.ways[0]
        number = f"{context.session_id}.w{self.asked}"
        return Suggestion(item_ids, number, SuggestedWay(way.kind, way.target, way.position))

    def _query(self, context: PageContext) -> Query:
        at = moment(context.at)
        state = self._visitors.get(context.visitor_id, context.user_id, at)
        known = known_of(state, at, SESSION_GAP)
        return Query(
            at=at,
            placement=context.placement,
            limit=context.limit,
            history=known.history,
            session=known.session,
            context_items=(context.item_id,) if context.item_id else (),
            cart_items=tuple(dict.fromkeys((*context.cart_items, *known.cart_items))),
            category=context.category,
            personalize=known.personalize,
            behaviour=known.behaviour,
            exposures=known.exposures,
            ignored_lists=known.ignored_lists,
        )


def _is_listing(chunk: EventChunk) -> bool:
    """Whether these are lists of the shop's own, which no state keeps."""
    return chunk.event_type == VIEW_ITEM_LIST and not (chunk.placement >= 0).any()
