"""Export and health of an experiment, from a log with everything in it that may go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_store.erasures import RECORD, Erasures, subject_of
from feature_store.events import EventItem, InteractionEvent
from feature_store.experiment_export import export_page
from feature_store.experiment_health import arm_weights, experiment_health
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from recommender.errors import DataError, InvalidInputError
from tests.tabling import HOUR
from tests.training.evaluation.experiment.trial import FIRST, KEY, NAMES, answer, assigned


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    layout = StoreLayout(tmp_path)
    intake = Intake(layout, Visitors(MemoryStore(lambda: FIRST)), lambda: FIRST)
    records = [
        answer(1, "a", "control", 0, latency_ms=2.0),
        answer(2, "a", "control", 1, latency_ms=4.0, served_level="popular"),
        answer(3, "b", "treatment", 2, degraded_reason="model"),
        answer(3, "b", "treatment", 2, degraded_reason="model"),
        answer(4, "c", "treatment", 3, qa=True),
        answer(5, "d", "treatment", 4, assignments=(assigned("treatment", in_experiment=False),)),
    ]
    for record in records:
        assert intake.record(record) is not None
    events = [
        InteractionEvent("e1", "view_item", FIRST, "a", recommendation_id="d1"),
        InteractionEvent("e2", "view_item", FIRST - HOUR, "a", recommendation_id="gone"),
        InteractionEvent("e3", "view_item", FIRST, "a", items=(EventItem("i"),)),
    ]
    intake.submit(events, [b"{}"] * 3).result()
    intake.close()
    return layout


def test_health_says_what_each_arm_does(layout: StoreLayout) -> None:
    found = experiment_health(layout, KEY)
    control, treatment = found.arms
    assert (control.subjects, control.answers, control.weight) == (1, 2, 0.5)
    assert (control.fallback_share, control.error_share, control.latency_p95_ms) == (0.5, 0.0, 4.0)
    assert (treatment.subjects, treatment.answers, treatment.error_share) == (1, 1, 1.0)
    assert found.sample_ratio_p == 1.0
    assert not found.is_mismatch
    assert found.duplicate_share == 0.25
    assert found.late_share == pytest.approx(1 / 3)
    assert found.unmatched_share == 0.5
    assert found.left_out == {"forced, or marked qa": 1, "does not take part": 1}


def test_every_page_goes_on_where_the_last_one_ended(layout: StoreLayout) -> None:
    whole = export_page(layout, KEY)
    assert whole.is_end
    assert [(row.variation_id, row.subject_id) for row in whole.rows] == [
        ("control", NAMES.of("visitor", "a")),
        ("control", NAMES.of("visitor", "a")),
        ("treatment", NAMES.of("visitor", "b")),
        ("treatment", NAMES.of("visitor", "b")),
    ]
    assert whole.rows[0].timestamp == "2026-03-21T12:00:00.000000Z"
    rows, cursor, pages = [], None, 0
    while True:
        page = export_page(layout, KEY, cursor, limit=1)
        rows, cursor, pages = [*rows, *page.rows], page.cursor, pages + 1
        if page.is_end:
            break
    assert tuple(rows) == whole.rows
    assert pages == 5
    assert export_page(layout, KEY, cursor).rows == ()


def test_a_cursor_goes_on_in_later_segments_of_every_writer(layout: StoreLayout) -> None:
    cursor = export_page(layout, KEY).cursor
    for writer in ("serve", "another"):
        visitors = Visitors(MemoryStore(lambda: FIRST))
        intake = Intake(layout, visitors, lambda: FIRST, writer=writer)
        for n in range(3):
            assert intake.record(answer(n, f"{writer}{n}", "control", n)) is not None
        intake.close()
    later = export_page(layout, KEY, cursor)
    assert {row.subject_id for row in later.rows} == {
        NAMES.of("visitor", f"{writer}{n}") for writer in ("serve", "another") for n in range(3)
    }
    assert len(later.cursor) < 200
    assert export_page(layout, KEY, later.cursor).rows == ()


def test_the_erased_are_not_exported(layout: StoreLayout) -> None:
    subject = subject_of(RECORD, NAMES.of("visitor", "a"))
    Erasures(layout.erasures).add([subject], FIRST + HOUR)
    assert {row.variation_id for row in export_page(layout, KEY).rows} == {"treatment"}
    assert experiment_health(layout, KEY).left_out["erased"] == 2


@pytest.mark.parametrize("cursor", ["x", "e30x", "W10=", "eyJhIjotMX0=", "eyJhIjpbLTEsMF19", "é"])
def test_a_cursor_of_somebody_else_is_refused(layout: StoreLayout, cursor: str) -> None:
    with pytest.raises(InvalidInputError, match="cursor"):
        export_page(layout, KEY, cursor)


@pytest.mark.parametrize("limit", [0, 10_001])
def test_a_page_has_a_size(layout: StoreLayout, limit: int) -> None:
    with pytest.raises(InvalidInputError, match="accepted: 1 to 10000"):
        export_page(layout, KEY, limit=limit)


def test_where_there_is_no_log_there_is_nothing(tmp_path: Path) -> None:
    assert export_page(StoreLayout(tmp_path), KEY).is_end
    with pytest.raises(DataError, match="no answer of experiment"):
        experiment_health(StoreLayout(tmp_path), KEY)


def test_an_unknown_phase_is_said(layout: StoreLayout) -> None:
    with pytest.raises(DataError, match="phase 3"):
        experiment_health(layout, KEY, phase=3)


def test_weights_of_arms_that_nobody_was_seen_in() -> None:
    assert arm_weights({"a": 0.5, "b": 0.5}) == {"a": 0.5, "b": 0.5}
    assert arm_weights({"a": 0.5}) == {"a": 0.5, "(nobody seen)": 0.5}
    assert arm_weights({"a": 0.5, "b": None}) == {"a": 1.0, "b": 1.0}
