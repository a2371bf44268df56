"""The closed loop asks the pipeline what the service asks it, of the same events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import serving.answer
from feature_store.online.state import micros
from recommender.bundle import bundle_of
from recommender.bundle_manifest import BundleManifest
from recommender.placements import read_placements
from recommender.query import Query
from recommender.terms import MOVE_TYPES, VIEW_ITEM_LIST
from serving.app import create_app
from serving.settings import Settings
from tests.serving.service import TestClient, publish_shop
from tests.training.simulation.shops import EAGER, PLENTY, arrays_of_shop, spec_of
from training.simulation.encode import Encoder
from training.simulation.pipeline import Answering, PipelineRecommender
from training.simulation.recommenders import PageContext, Suggestion
from training.simulation.recorder import EventChunk
from training.simulation.service import PLACEMENTS, EventSender, ServiceRecommender
from training.simulation.shop import Shop

PLACES = read_placements()
SPEC = spec_of(shoppers=60, days=3, items=40, behaviour=EAGER, stock=PLENTY)
"""Three days, so that every event is young enough for the service."""


@dataclass
class Clock:
    now: int

    def __call__(self) -> int:
        return self.now


@dataclass
class Both:
    """Fills the shop's lists by the loop, and asks the service the same."""

    client: TestClient
    clock: Clock
    loop: PipelineRecommender
    served: list[Query]
    asked: list[Query] = field(default_factory=list)
    sender: EventSender = field(init=False)

    def __post_init__(self) -> None:
        self.sender = EventSender(self)  # type: ignore[arg-type]
        self.end = self.clock.now

    def post(self, path: str, body: bytes) -> bytes:
        answer = self.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code < 300, answer.text
        return answer.content

    def hear(self, chunk: EventChunk) -> None:
        self.loop.hear(chunk)
        self.sender(chunk)

    def __call__(self, context: PageContext) -> Sequence[str] | Suggestion:
        # Visits of a day advance together: an event of another one may be later than this page.
        self.clock.now = self.end
        self.sender.flush()
        self.clock.now = context.at
        ServiceRecommender(self, self.sender)(context)  # type: ignore[arg-type]
        name = PLACEMENTS.get(context.placement, context.placement)
        self.asked.append(self.loop.query(context, PLACES[name]))
        return self.loop(context)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Query]:
    """Every query that the service put to the pipeline."""
    queries: list[Query] = []
    real = serving.answer.recommend

    def recommend(query: Query, *rest: Any) -> Any:
        queries.append(query)
        return real(query, *rest)

    monkeypatch.setattr(serving.answer, "recommend", recommend)
    return queries


def test_the_same_events_and_page_give_the_same_query(tmp_path: Path, served: list[Query]) -> None:
    publish_shop(tmp_path)
    clock = Clock(micros(SPEC.start) + 4 * 86_400_000_000)
    settings = Settings(root=tmp_path, dev=True, explore=False)
    with TestClient(create_app(settings, clock=clock)) as client:
        arrays, info = arrays_of_shop(SPEC, 7)
        bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
        loop = PipelineRecommender(Answering("file", bundle, PLACES))
        both = Both(client, clock, loop, served)
        shop = Shop(SPEC, np.random.default_rng(7), both, both.hear)
        loop.encoder = both.sender.encoder = Encoder(shop.catalogue, shop.identity)
        for _ in shop.days():
            pass
    assert not both.sender.rejected
    assert len(both.asked) == len(served) > 200
    for asked, answered in zip(both.asked, served, strict=True):
        assert asked == answered
    # None of it is the same only because there is nothing in it.
    for part in ("history", "session", "cart_items", "exposures", "category", "context_items"):
        assert sum(bool(getattr(query, part)) for query in served) > 20, part
    moved = {event.event_type for query in served for event in query.visit.events}
    assert len(moved & set(MOVE_TYPES)) > 2
    found = [each for query in served for each in query.visit.events if each.item_id]
    assert VIEW_ITEM_LIST in {each.event_type for each in found}  # the shop's own listings
    assert {query.placement for query in served} >= {"home", "item", "category", "cart"}
