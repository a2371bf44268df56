"""Training and serving compute the same features for the same journey: one piece of code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from feature_store.catalogue import read_catalogue
from feature_store.events import EventItem, InteractionEvent
from feature_store.online.known import known_of
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from recommender.bundle import ModelBundle, bundle_of
from recommender.bundle_manifest import BundleManifest, RankerInfo
from recommender.features import FeatureMaker
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.ranker import feature_maker
from recommender.ranking import Proposed
from recommender.seeds import Seeds
from recommender.terms import (
    ADD_TO_CART,
    DISMISS,
    PURCHASE,
    REMOVE_FROM_CART,
    SELECT_ITEM,
    VIEW_ITEM,
)
from tests.factories import DAY, HOUR, MINUTE, SECOND, START, Did, checkerboard, write_log
from tests.forests import random_forest
from training.dataset import moment
from training.engine import EventWindow, Period
from training.engines.local import LocalEngine
from training.fitting import Fitted, Fitting
from training.models.feature_file import FeatureFile
from training.models.item_stats import STAT_NAMES
from training.questions import Question, Questioner
from training.ranking import Classroom
from training.spec import TrainingSpec, parse_spec

CUT = START + 40 * DAY
NEXT = Placement("next", exclude=("dismissed",))
SPEC = parse_spec(
    {
        "als": {"factors": 4, "iterations": 3},
        "split": {"asked": "in_visit"},
        "ranker": {"candidates": 10},
    }
)
TYPES = (VIEW_ITEM, VIEW_ITEM, SELECT_ITEM, ADD_TO_CART, REMOVE_FROM_CART, PURCHASE, DISMISS)


def journeys() -> list[Did]:
    """New shoppers with visits of every kind after the cut: baskets, returns, carts in between."""
    rng = np.random.default_rng(7)
    done = []
    for shopper in range(12):
        ts = CUT + int(rng.integers(DAY))
        for _ in range(int(rng.integers(4, 30))):
            event_type = TYPES[int(rng.integers(len(TYPES)))]
            together = int(rng.integers(1, 4)) if event_type == PURCHASE else 1
            # In one event the lines come in any order, and with ids that say nothing of it.
            items = rng.choice(12, together, replace=False).tolist()
            done += [_did(f"new-{shopper:02d}", item, ts, event_type) for item in items]
            ts += int(
                rng.choice([20 * SECOND, 5 * MINUTE, 29 * MINUTE, 31 * MINUTE, 3 * HOUR, DAY])
            )
    return done


def _did(shopper: str, item: int, ts: int, event_type: str) -> Did:
    return Did(shopper, f"item-{item:02d}", ts, event_type)


@dataclass(frozen=True)
class Shop:
    """A model of what was before the cut, and what came after it."""

    model: Fitted
    done: list[Did]
    window: EventWindow
    workspace: Path

    def questions(self) -> list[Question]:
        period = Period(CUT, self.window.period.end)
        questioner = Questioner(LocalEngine(), self.window, SPEC, self.workspace)
        return questioner.questions(period)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("one-code")
    done = [did for did in checkerboard() if did.ts < CUT] + journeys()
    layout = write_log(root / "store", done)
    engine = LocalEngine()
    window = engine.ingest_window(layout, SPEC, None, root)
    fitting = Fitting(engine, window, read_catalogue(layout, None), SPEC, root)
    return Shop(fitting.fit(CUT), done, window, root)


def ranked(model: Fitted) -> ModelBundle:
    """The model with some trees over all of its features."""
    plain = model.bundle()
    maker = feature_maker(plain.arrays, plain.catalogue, plain.sources, STAT_NAMES)
    trees = random_forest(np.random.default_rng(0), [4] * 3, len(maker.names))
    shortlist = dict(model.info.blend)
    info = RankerInfo(maker.names, STAT_NAMES, SPEC.ranker.candidates, shortlist)
    manifest = BundleManifest.describe(replace(model.info, ranker=info), {})
    return bundle_of({**model.arrays, **trees}, manifest)


Seen = tuple[list[int], np.ndarray]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """Candidates and features of every call, in training and in serving."""
    calls: list[Seen] = []
    real = FeatureMaker.features

    def features(self: FeatureMaker, proposed: Proposed, seeds: Seeds) -> np.ndarray:
        rows = real(self, proposed, seeds)
        calls.append((proposed.item_idx.tolist(), rows))
        return rows

    monkeypatch.setattr(FeatureMaker, "features", features)
    return calls


def events_of(done: Sequence[Did]) -> list[InteractionEvent]:
    """One event for all that a shopper did at one moment, a basket for example."""
    groups: dict[tuple[str, str, int], list[EventItem]] = {}
    for did in done:
        group = groups.setdefault((did.shopper, did.event_type, did.ts), [])
        group.append(EventItem(did.item or ""))
    return [
        InteractionEvent(f"event-{number}", event_type, ts, shopper, items=tuple(items))
        for number, ((shopper, event_type, ts), items) in enumerate(groups.items())
    ]


def served_query(done: Sequence[Did], shopper: str, at: int) -> Query:
    """As `serving.question` asks: events → visitor state → what is known of it → query."""
    visitors = Visitors(MemoryStore(lambda: at / 1e6))
    before = [did for did in done if did.shopper == shopper and did.ts < at]
    visitors.apply(events_of(before))
    now = moment(at)
    gap = timedelta(minutes=SPEC.session.gap_minutes)
    known = known_of(visitors.get(shopper, None, now), now, gap)
    return Query(
        at=now,
        placement="next",
        history=known.history,
        session=known.session,
        cart_items=known.cart_items,
        behaviour=known.behaviour,
    )


def asked_of(shop: Shop) -> list[tuple[str, Question]]:
    """Who is asked for: the shopper whose next step it is."""
    owners = {(did.ts, did.item): did.shopper for did in shop.done}
    return [
        (
            owners[
                (_micros(question), max(question.next_step, key=question.next_step.__getitem__))
            ],
            question,
        )
        for question in shop.questions()
    ]


def _micros(question: Question) -> int:
    return round(question.query.at.timestamp() * SECOND)


def test_training_asks_what_serving_asks(shop: Shop) -> None:
    asked = asked_of(shop)
    assert len(asked) > 100
    assert any(question.query.cart_items for _, question in asked)
    assert any(question.query.behaviour.kept_purchases > 1 for _, question in asked)
    for shopper, question in asked:
        served = served_query(shop.done, shopper, _micros(question))
        taught = question.query
        assert taught.session == served.session
        assert taught.history == served.history
        assert taught.cart_items == served.cart_items
        assert taught.behaviour == served.behaviour
        assert taught.context_items == served.context_items == ()


def test_every_feature_is_the_same_in_training_and_in_serving(
    shop: Shop, seen: list[Seen], tmp_path: Path
) -> None:
    asked = asked_of(shop)
    with FeatureFile(tmp_path) as file:
        classroom = Classroom(NEXT, SPEC.ranker, shop.model.info.blend, file, 1)
        classroom.ask(shop.model, [question for _, question in asked])
    taught, seen[:] = list(seen), []
    bundle = ranked(shop.model)
    for shopper, question in asked:
        query = served_query(shop.done, shopper, _micros(question))
        recommend(query, bundle, NEXT, TopPolicy())
    assert len(taught) == len(seen) > 100
    assert bundle.ranker is not None
    names = np.array(bundle.ranker.maker.names)
    for (candidates, rows), (served_candidates, served_rows) in zip(taught, seen, strict=True):
        assert candidates == served_candidates
        close = np.isclose(rows, served_rows, rtol=0, atol=1e-6, equal_nan=True).all(axis=0)
        assert not names[~close].tolist()
        assert bundle.ranker.taught(served_rows) is served_rows


def test_a_page_is_one_step_before_and_after_its_event_has_arrived(
    shop: Shop, seen: list[Seen]
) -> None:
    """The storefront asks from the page of an item; its own view event may come late."""
    bundle = ranked(shop.model)
    way = [("item-02", CUT - 90 * SECOND), ("item-04", CUT - 60 * SECOND)]
    late = [Did("ann", item, ts) for item, ts in way]
    there = [*late, Did("ann", "item-06", CUT - 1)]
    for done in (late, there):
        query = served_query(done, "ann", CUT).but(context_items=("item-06",))
        recommend(query, bundle, replace(NEXT, exclude=("context",)), TopPolicy())
    (one_items, one), (other_items, other) = seen
    assert one_items == other_items
    assert one == pytest.approx(other, abs=1e-4, nan_ok=True)


def test_the_settings_of_the_spec_reach_both(shop: Shop) -> None:
    assert isinstance(SPEC, TrainingSpec)
    info = shop.model.info
    assert dict(info.event_weights) == dict(SPEC.event_weights)
    assert info.seed_half_life_seconds == SPEC.seeds.half_life_days * 86_400
