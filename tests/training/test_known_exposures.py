"""Exposures of a log: what is read, nothing of the future, and counted as serving counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from feature_store.catalogue import read_catalogue
from feature_store.events import EventItem, InteractionEvent
from feature_store.online.facts import apply_events
from feature_store.online.known import known_of
from feature_store.online.state import VisitorState
from recommender.impression_discount import ARRAY, check_discount
from recommender.terms import DISMISS, SELECT_ITEM, VIEW_ITEM, VIEW_ITEM_LIST
from tests.factories import DAY, HOUR, MINUTE, SECOND, START, Did, write_log
from training.dataset import build_dataset, moment
from training.engine import Period
from training.engines.local import LocalEngine
from training.fitting import Fitting
from training.known_events import known_events
from training.known_exposures import known_exposures, shown_items
from training.models.acceptance import ShownItems
from training.models.impression_discount import Exposures
from training.spec import TrainingSpec, parse_spec

END = START + 40 * DAY


def shown(item: str, ts: int, **more: object) -> Did:
    return Did("ann", item, ts, VIEW_ITEM_LIST, **({"placement": "home"} | more))  # type: ignore[arg-type]


LOG = (
    *(Did(who, item, START + n * SECOND) for who in ("ann", "bob") for n, item in enumerate("xyz")),
    shown("x", START + HOUR),
    shown("x", START + 2 * HOUR, placement="the shop's own"),
    shown("x", START + 3 * HOUR, placement=None, recommendation_id="r1"),
    Did("ann", "x", START + 3 * HOUR + MINUTE, SELECT_ITEM, recommendation_id="r1"),
    shown("x", START + DAY),
    shown("y", START + DAY),
    Did("ann", "y", START + DAY + MINUTE, DISMISS),
    shown("x", START + 3 * DAY),
    shown("y", START + 3 * DAY),
    Did("ann", "y", START + 3 * DAY + MINUTE, VIEW_ITEM),
    shown("never touched by anybody", START + 3 * DAY),
)


def exposures_of(
    folder: Path, log: Sequence[Did], until: int = END, as_of: int | None = END
) -> Exposures | None:
    folder.mkdir()
    layout, spec = write_log(folder / "store", log), TrainingSpec()
    window = LocalEngine().ingest_window(layout, spec, as_of, folder)
    catalogue = read_catalogue(layout)
    dataset = build_dataset(LocalEngine(), window, catalogue, spec, until, folder)
    return known_exposures(window, dataset, known_events(window, dataset))


def test_exposures_are_read_with_what_was_known_at_each(tmp_path: Path) -> None:
    found = exposures_of(tmp_path / "log", LOG)
    assert found is not None
    x, y = found.item[0], found.item[-1]
    assert found.item.tolist() == [x] * 4 + [y] * 2
    assert found.ignored.tolist() == [0, 1, 0, 1, 0, 0]
    assert found.age.tolist() == [0, 2 * HOUR, 0, 2 * DAY, 0, 0]
    # Only what was taken up from a list of ours is a click; the view of y came another way.
    assert found.clicked.tolist() == [False, True, False, False, False, False]
    assert found.touched.all()


def test_serving_counts_as_training_does(tmp_path: Path) -> None:
    found = exposures_of(tmp_path / "log", LOG)
    assert found is not None
    moments = [each for each in LOG if each.event_type == VIEW_ITEM_LIST and each.item in "xy"]
    ours = [each for each in moments if each.placement != "the shop's own"]
    for row, each in enumerate(sorted(ours, key=lambda each: (each.item or "", each.ts))):
        events = [_event(number, did) for number, did in enumerate(LOG) if did.shopper == "ann"]
        state = apply_events(VisitorState(), events)
        known = known_of(state, moment(each.ts - 1), timedelta(minutes=30))
        ignored = {one.item_id: one for one in known.exposures}.get(each.item or "")
        assert found.ignored[row] == (ignored.ignored if ignored else 0)
        assert found.age[row] == (each.ts - ignored.last if ignored else 0)


def _event(number: int, did: Did) -> InteractionEvent:
    return InteractionEvent(
        f"e{number}",
        did.event_type,
        did.ts,
        did.shopper,
        items=(EventItem(did.item or ""),),
        placement=did.placement,
        recommendation_id=did.recommendation_id,
    )


def test_what_comes_later_changes_nothing(tmp_path: Path) -> None:
    until = START + 2 * DAY
    early = [each for each in LOG if each.ts < until]
    late = [shown("x", START + 5 * HOUR, available_at=until + 1)]
    one = exposures_of(tmp_path / "one", early, until)
    two = exposures_of(tmp_path / "two", [*LOG, *late], until)
    assert one is not None
    assert two is not None
    for name in ("ignored", "age", "clicked", "touched"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def test_lists_of_one_moment_show_an_item_once(tmp_path: Path) -> None:
    twice = [shown("x", START + DAY, placement="cart"), shown("y", START + DAY, placement="cart")]
    found, once = (
        exposures_of(tmp_path / name, log) for name, log in (("two", [*LOG, *twice]), ("one", LOG))
    )
    assert found is not None
    assert once is not None
    assert found.item.tolist() == once.item.tolist()
    assert found.ignored.tolist() == once.ignored.tolist()
    made = shown_of(tmp_path / "shown", [*LOG, *twice], Period(START, END))
    assert made is not None
    assert made.shown.sum() == 7


def test_a_log_without_lists_of_ours_has_none(tmp_path: Path) -> None:
    plain = [replace(each, placement=None, recommendation_id=None) for each in LOG]
    assert exposures_of(tmp_path / "log", plain) is None


def test_exposures_belong_to_the_digest_of_the_data(tmp_path: Path) -> None:
    digests = set()
    for name, log in (("one", LOG), ("two", LOG[:-1]), ("three", LOG[:-3])):
        (tmp_path / name).mkdir()
        layout = write_log(tmp_path / name / "store", log)
        window = LocalEngine().ingest_window(layout, TrainingSpec(), END, tmp_path / name)
        digests.add(window.digest)
    # Also what nobody ever touched was shown: it makes the others' acceptance smaller.
    assert len(digests) == 3


@pytest.mark.parametrize("min_clicks", [1, 1_000_000])
def test_a_fit_keeps_the_curve_where_there_is_enough_to_learn(
    tmp_path: Path, min_clicks: int
) -> None:
    spec = parse_spec(
        {
            "impression_discount": {"min_clicks": min_clicks},
            "als": {"factors": 2, "iterations": 1},
        }
    )
    layout = write_log(tmp_path / "store", LOG)
    window = LocalEngine().ingest_window(layout, spec, END, tmp_path)
    fitted = Fitting(LocalEngine(), window, read_catalogue(layout), spec, tmp_path).fit(END)
    assert (ARRAY in fitted.bundle().arrays) == (min_clicks == 1)
    if min_clicks == 1:
        check_discount(fitted.arrays[ARRAY])


def shown_of(folder: Path, log: Sequence[Did], period: Period) -> ShownItems | None:
    folder.mkdir()
    layout = write_log(folder / "store", log)
    window = LocalEngine().ingest_window(layout, TrainingSpec(), END, folder)
    return shown_items(window, period)


def test_what_was_shown_to_nobody_known_or_never_touched_counts_as_shown(tmp_path: Path) -> None:
    stranger = Did("a stranger", "x", START + DAY, VIEW_ITEM_LIST, placement="home")
    found = shown_of(tmp_path / "log", [*LOG, stranger], Period(START, END))
    assert found is not None
    assert found.placements == ("", "home")
    # ann's six of x and y, the item that nobody touched, and the stranger's.
    assert found.shown.sum() == 8
    # What was taken up was shown once, in a list without a placement.
    assert found.placement.tolist() == [0, 1]
    assert found.shown.tolist() == [1, 7]
    assert found.taken.tolist() == [1, 0]


def test_only_a_period_is_looked_at(tmp_path: Path) -> None:
    found = shown_of(tmp_path / "log", LOG, Period(START + 2 * HOUR, START + 3 * DAY))
    assert found is not None
    assert found.shown.sum() == 3
    assert found.taken.sum() == 1
    assert shown_of(tmp_path / "none", LOG, Period(START, START + HOUR)) is None
