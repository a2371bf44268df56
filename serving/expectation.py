"""Counts what lists promise and what they get, from the events that name our answers.

A `view_item_list` with a `recommendation_id` adds what the model in use predicts for each item at
its place; an act that takes an item up adds 1, once for each showing. Both look at the same
moments, so a list that was answered and never shown promises nothing. See docs/expectation.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.state import VisitorState
from feature_store.verdicts import ACCEPTED, Verdict
from recommender.acceptance import Acceptance
from recommender.errors import DesirepathError, InvalidEventError
from recommender.exposures import TAKEN_UP, TAKEN_UP_WITHIN_MICROS
from recommender.terms import EVENT_CODES, VIEW_ITEM_LIST
from serving.shopper import shopper
from serving.state import ServiceState
from serving.visitor_view import moment_of

logger = logging.getLogger(__name__)
OTHER = "other"
"""Label of all placements that the service does not know: what events name is not bounded."""


async def count_expectation(
    state: ServiceState,
    events: Sequence[InteractionEvent | InvalidEventError],
    verdicts: Sequence[Verdict],
) -> None:
    """Count the events that were accepted; nothing that fails here fails them."""
    acceptance = state.models.current.bundle.acceptance
    if acceptance is None:
        return
    ours = [
        event
        for event, verdict in zip(events, verdicts, strict=True)
        if verdict.status == ACCEPTED and isinstance(event, InteractionEvent) and _is_ours(event)
    ]
    _count_shown(state, [each for each in ours if each.event_type == VIEW_ITEM_LIST], acceptance)
    acts = [each for each in ours if each.event_type in TAKEN_UP]
    if acts:
        try:
            known = await _known(state, acts)
            delivered = _delivered(state, acts, known)
        except DesirepathError as error:
            logger.warning("what was taken up could not be counted: %s", error)
            return
        for placement, count in delivered.items():
            state.metrics.acceptance_delivered.labels(placement).inc(count)


def _is_ours(event: InteractionEvent) -> bool:
    return any(event.recommendation_of(item) for item in event.items)


def _items(event: InteractionEvent) -> Iterator[EventItem]:
    return (item for item in event.items if event.recommendation_of(item))


def _count_shown(
    state: ServiceState, lists: Iterable[InteractionEvent], acceptance: Acceptance
) -> None:
    for event in lists:
        shown = Counter(event.placement_of(item) or "" for item in _items(event))
        for placement, count in shown.items():
            label = _label(state, placement)
            state.metrics.acceptance_shown.labels(label).inc(count)
            promised = acceptance.total(placement, count)
            state.metrics.acceptance_predicted.labels(label).inc(promised)


def _label(state: ServiceState, placement: str) -> str:
    return placement if placement in state.placements else OTHER


def _who(act: InteractionEvent) -> tuple[str, str | None]:
    return act.visitor_id, act.user_id


async def _known(
    state: ServiceState, acts: Iterable[InteractionEvent]
) -> dict[tuple[str, str | None], VisitorState]:
    """The states of those who acted. Raises `StorageError`."""
    moments = {_who(act): moment_of(act.ts) for act in reversed([*acts])}
    if state.lookup is None:  # a file is read, so not on the event loop

        def read() -> dict[tuple[str, str | None], VisitorState]:
            return {who: state.visitors.get(*who, at) for who, at in moments.items()}

        return await asyncio.to_thread(read)
    return {who: await shopper(state, *who, at) for who, at in moments.items()}


def _delivered(
    state: ServiceState,
    acts: Iterable[InteractionEvent],
    known: Mapping[tuple[str, str | None], VisitorState],
) -> Counter[str]:
    """Showings that these acts took up, by placement."""
    delivered: Counter[str] = Counter()
    for act in acts:
        for item in _items(act):
            if is_first_of_its_showing(known[_who(act)], item.item_id, act):
                delivered[_label(state, act.placement_of(item) or "")] += 1
    return delivered


def is_first_of_its_showing(state: VisitorState, item_id: str, act: InteractionEvent) -> bool:
    """Whether an act is the first that takes the item up since it was last shown, in time.

    All workers read the same states, and each of several acts finds itself first or not whatever
    came when, so a click, the page behind it and the purchase count once together.

    Parameters
    ----------
    state
        The shopper's, with the act in it.
    """
    shown = [ts for ts in state.exposures.get(item_id, ()) if ts <= act.ts]
    if not shown or act.ts - shown[-1] > TAKEN_UP_WITHIN_MICROS:
        return False
    own = (act.ts, EVENT_CODES[act.event_type])
    return not any(
        each.item_id == item_id
        and each.event_type in TAKEN_UP
        and shown[-1] <= each.ts
        and (each.ts, EVENT_CODES[each.event_type]) < own
        for each in state.recent
    )
