"""Lets the shop's pages be filled by the serving pipeline in this process, without a service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from zlib import crc32

from feature_store.online.known import informed
from feature_store.online.memory import MemoryStore
from feature_store.online.state import SESSION_GAP
from feature_store.online.visitors import VisitorOptions, Visitors
from recommender.bundle import ModelBundle
from recommender.draws import seed_of
from recommender.errors import InvalidInputError
from recommender.exploration import ExploringPolicy
from recommender.pipeline import recommend
from recommender.placements import OBJECTIVES, Placement
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.terms import KINDS, OFF
from training.dataset import moment
from training.simulation.ablation import ABLATIONS, ablated, taken_apart
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
WAYS: Final = "ways"
EXPLORE: Final = "explore"
_WITH_WAYS: Final = tuple(f"{objective}+{WAYS}" for objective in OBJECTIVES)
_ASKING: Final = ("file", *OBJECTIVES, WAYS, *_WITH_WAYS, EXPLORE, POPULARITY)
POLICIES: Final = (*_ASKING, NOTHING, SHOP, ORACLE)
COMPARED_EVERY: Final = 8
"""One of so many lists is compared with a stranger's."""
_MOST_WAITING: Final = 2_000
_FOR_EVER = VisitorOptions(ttl_seconds=3650 * 86_400)
_POLICY, _EXPLORING = TopPolicy(), ExploringPolicy()


@dataclass(frozen=True, slots=True)
class Answering:
    """One way to fill the shop's lists.

    Parameters
    ----------
    bundle
        None shows nothing.
    placements
        By name; pages ask at their own, searches at ``category``.
    is_exploring
        What the placements leave to chance is left to it, seeded by the page.
    """

    name: str
    bundle: ModelBundle | None = None
    placements: Mapping[str, Placement] | None = None
    is_exploring: bool = False


Way: TypeAlias = Answering | OracleRecommender | None
"""How the shop's lists are filled; None: with its own static ones."""


def parsed_policy(name: str) -> tuple[str, tuple[str, ...]]:
    """The policy of that name and the parts that it does without. Raises `InvalidInputError`."""
    base, parts = taken_apart(name)
    if base not in POLICIES or (parts and base not in _ASKING):
        raise InvalidInputError(
            f"policy {name!r}; accepted: {', '.join(POLICIES)}; behind {', '.join(_ASKING)} also "
            f"{', '.join(':' + each for each in ABLATIONS)}"
        )
    return base, parts


def answering(name: str, bundle: ModelBundle, placements: Mapping[str, Placement]) -> Way:
    """A way to answer by its name, see `POLICIES`; None is the shop's own static lists.

    ``file`` takes the placements as they are, ``explore`` also leaves to chance what they say, an
    objective sets it at every place, ``ways`` also suggests where to go (``path+ways``: with that
    objective at every place), ``popularity`` lets that source alone propose, ``nothing`` shows
    empty lists, ``oracle`` knows what everybody wants and is the most that lists can do. Behind
    those that ask the pipeline may stand what they do without, such as ``path:tireless:paceless``,
    see `training.simulation.ablation.taken_apart`. Raises `InvalidInputError`.
    """
    base, parts = parsed_policy(name)
    if base == SHOP:
        return None
    if base == ORACLE:
        return OracleRecommender()
    if base == NOTHING:
        return Answering(name)
    named = base.split("+")
    changes: dict[str, object] = {"objective": named[0]} if named[0] in OBJECTIVES else {}
    if WAYS in named:
        changes["kinds"] = KINDS
    if base == POPULARITY:
        changes = {"sources": (POPULARITY,)}
    places = {
        key: ablated(replace(place, **changes), parts)  # type: ignore[arg-type]
        for key, place in placements.items()
    }
    return Answering(name, bundle, places, base == EXPLORE)


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
    compared, changed
        By visitor id, of one in `COMPARED_EVERY` lists: the items shown, and those of them that a
        stranger would not have been shown, see `beyond_default`.
    """

    def __init__(self, answering: Answering | None = None) -> None:
        self._visitors = Visitors(MemoryStore(lambda: 0), _FOR_EVER)
        self._answering = answering
        self._waiting: list[EventChunk] = []
        self._events_waiting = 0
        self.encoder: Encoder | None = None
        self.asked = 0
        self.compared: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()

    def hear(self, chunk: EventChunk) -> None:
        """Take events of the shop; whoever never answers from a model need not remember them."""
        if self._answering is None or self._answering.bundle is None:
            return
        self._waiting.append(chunk)
        self._events_waiting += len(chunk)
        if self._events_waiting >= _MOST_WAITING:
            self._learn()

    def _learn(self) -> None:
        """Bring what was heard into the states; together, each state is written once."""
        if self.encoder is None:
            raise InvalidInputError("no encoder yet; set PipelineRecommender.encoder")
        events = [event for chunk in self._waiting for event in self.encoder.events(chunk)]
        self._waiting, self._events_waiting = [], 0
        self._visitors.apply(sorted(events, key=lambda event: event.visitor_id))

    def query(self, context: PageContext, placement: Placement) -> Query:
        """The question that the service would ask the pipeline for this page."""
        if self._waiting:
            self._learn()
        question = question_of(context, placement)
        state = self._visitors.get(context.visitor_id, context.user_id, question.at)
        return informed(question, state, SESSION_GAP)

    def __call__(self, context: PageContext) -> Sequence[str] | Suggestion:
        """Fill a list."""
        chosen = self._answering
        if chosen is None or chosen.bundle is None:
            return ()
        place = _place_of(context, chosen.placements or {})
        self.asked += 1
        query = self.query(context, place)
        if chosen.is_exploring:
            seed = seed_of(f"{context.session_id}.{context.at}.{place.name}")
            slate = recommend(query.but(seed=seed), chosen.bundle, place, _EXPLORING)
        else:
            slate = recommend(query, chosen.bundle, place, _POLICY)
        item_ids = [item.item_id for item in slate.items]
        if _is_compared(context):
            self.compared[context.visitor_id] += len(item_ids)
            beyond = beyond_default(item_ids, query, chosen.bundle, place)
            self.changed[context.visitor_id] += beyond
        if not slate.ways:
            return item_ids
        way = slate.ways[0]
        number = f"{context.session_id}.w{self.asked}"
        return Suggestion(item_ids, number, SuggestedWay(way.kind, way.target, way.position))


def question_of(context: PageContext, placement: Placement) -> Query:
    """What a page asks, before anything is known of who asks."""
    return Query(
        at=moment(context.at),
        placement=placement.name,
        limit=context.limit,
        context_items=(context.item_id,) if context.item_id else (),
        cart_items=context.cart_items,
        category=context.category,
        personalize=placement.personalize,
        page_type=context.placement,
        device=context.device,
    )


def beyond_default(
    item_ids: Sequence[str], query: Query, bundle: ModelBundle, placement: Placement
) -> int:
    """How many of the items shown are not in the list of the same length that a stranger gets.

    The stranger is on the same page at the same moment, and nothing is known of them.
    """
    if not item_ids:
        return 0
    stranger = query.but(personalize=OFF, limit=len(item_ids))
    default = recommend(stranger, bundle, replace(placement, navigation=0), _POLICY)
    usual = {item.item_id for item in default.items}
    return sum(item_id not in usual for item_id in item_ids)


def _place_of(context: PageContext, places: Mapping[str, Placement]) -> Placement:
    name = PLACEMENTS.get(context.placement, context.placement)
    if name not in places:
        raise InvalidInputError(
            f"the shop asks at placement {name!r}; there are: {', '.join(sorted(places))}"
        )
    return places[name]


def _is_compared(context: PageContext) -> bool:
    """By address, so that arms compare the same pages as far as they have them."""
    return crc32(f"{context.session_id}.{context.at}".encode()) % COMPARED_EVERY == 0
