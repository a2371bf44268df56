"""A replay takes steps of about the same time, however long one event takes."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from feature_store.event_log.stream import Place, end_of
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.store import Change, Clock
from feature_store.online.stream_replay import FollowerCounts, FollowerOptions, StreamReplay
from feature_store.online.stream_state import StreamState, place_key
from feature_store.online.visitor_draft import never_erased
from feature_store.online.visitors import VisitorOptions, Visitors
from tests.feature_store.log_cases import MovingClock, event, submit

EVENTS = 400
OPTIONS = FollowerOptions(portion=4, most_of_portion=32, portion_seconds=1.0, rest=0)


class SlowStore(MemoryStore):
    """A store that takes its time: so long for a change, and for each of its keys.

    Attributes
    ----------
    steps
        Keys of each change, that of the place left out.
    """

    def __init__(self, clock: Clock, seconds: float, key_seconds: float) -> None:
        super().__init__(clock)
        self.now, self.steps = 0.0, list[int]()
        self._seconds, self._key_seconds = seconds, key_seconds

    def update(
        self,
        keys: Sequence[str],
        change: Change,
        ttl_seconds: float,
        lasting: Collection[str] = (),
    ) -> None:
        self.steps.append(len(keys) - len(lasting))
        self.now += self._seconds + self._key_seconds * (len(keys) - len(lasting))
        super().update(keys, change, ttl_seconds)


def log_of(folder: Path, visitors: int) -> tuple[Path, Place]:
    """A log with so many events, of as many visitors, and the place behind the last of them."""
    layout, clock = StoreLayout(folder), MovingClock()
    intake = Intake(layout, Visitors(MemoryStore(clock)), clock)
    intake.open()
    submit(intake, [event(f"e{n}", visitor_id=f"v{n % visitors}") for n in range(EVENTS)])
    end = end_of(layout.log, "serve.1")
    intake.close()
    return layout.log, end


def replayed(log: tuple[Path, Place], store: SlowStore) -> int:
    """Replay all of a log into a store; how many events."""
    (folder, end), counts = log, FollowerCounts()
    replay = StreamReplay(folder, OPTIONS, counts, threading.Event(), lambda: store.now)
    state = StreamState(
        store, "serve.1", place_key("log", "serve.1"), VisitorOptions(), never_erased
    )
    assert replay.run(state, Place(), end, math.inf) == state.stored == end
    return counts.replayed


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Place]:
    """A log with one event of each of so many visitors."""
    return log_of(tmp_path_factory.mktemp("shop"), EVENTS)


@pytest.mark.parametrize(
    ("seconds", "key_seconds", "settled"),
    [
        pytest.param(0.0, 0.001, {32}, id="fast: as many as may be"),
        pytest.param(0.0, 0.05, {16}, id="what fits"),
        pytest.param(5.0, 0.0, {1}, id="slow: one by one"),
    ],
)
def test_steps_take_about_as_long_as_they_should(
    log: tuple[Path, Place], seconds: float, key_seconds: float, settled: set[int]
) -> None:
    store = SlowStore(MovingClock(), seconds, key_seconds)
    assert replayed(log, store) == sum(store.steps) == EVENTS
    assert store.steps[0] == OPTIONS.portion
    assert set(store.steps[4:-1]) == settled


@pytest.mark.parametrize(
    ("key_seconds", "steps"),
    [
        pytest.param(0.6, 3 + math.ceil((EVENTS - 4 - 8 - 16) / 32), id="more in a step"),
        pytest.param(1.5, EVENTS / 4, id="as many"),
        pytest.param(3.0, 2 + EVENTS - 4 - 2, id="fewer: slow by far"),
    ],
)
def test_a_step_may_have_many_events_where_they_are_of_few_shoppers(
    tmp_path: Path, key_seconds: float, steps: float
) -> None:
    store = SlowStore(MovingClock(), 0.0, key_seconds)
    assert replayed(log_of(tmp_path, 1), store) == EVENTS
    assert len(store.steps) == steps
