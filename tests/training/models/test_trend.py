from __future__ import annotations

from dataclasses import replace

from recommender.terms import VIEW_ITEM
from tests.training.known import WEIGHTS, known
from training.models.trend import rising_items
from training.sections import TrendSpec

SPEC = TrendSpec(short_half_life_days=7, long_half_life_days=60)


def views(item: int, days: list[float]) -> list[tuple[int, int, str, float]]:
    return [(n, item, VIEW_ITEM, day) for n, day in enumerate(days)]


def test_what_began_lately_rises_and_what_goes_on_or_ends_does_not() -> None:
    steady = views(0, [float(day) for day in range(100)])
    begun = views(1, [90 + n / 3 for n in range(30)])
    ended = views(2, [n / 3 for n in range(90)])
    found = rising_items(known(steady + begun + ended, 3), WEIGHTS, SPEC)
    assert found.items.tolist() == [1]


def test_one_event_is_no_trend() -> None:
    rows = views(0, [float(day) for day in range(100)]) + views(1, [99.5])
    assert not len(rising_items(known(rows, 2), WEIGHTS, replace(SPEC, sigmas=2)).items)


def test_a_log_without_events_has_no_trend() -> None:
    assert not len(rising_items(known([], 3), WEIGHTS, SPEC).items)
