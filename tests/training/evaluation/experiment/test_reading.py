from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from feature_store.layout import StoreLayout
from recommender.errors import DataError, InvalidInputError
from tests.tabling import DAY, HOUR
from tests.training.evaluation.experiment.trial import (
    KEY,
    answer,
    assigned,
    bought,
    store_of,
    trial,
)
from training.evaluation.experiment.markdown import to_markdown
from training.evaluation.experiment.reading import ReadRequest, read_experiment
from training.evaluation.experiment.report import ExperimentReading
from training.experiment_record import keep
from training.experiment_spec import ExperimentSpec

SPEC = ExperimentSpec(tuned_subjects=400)


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> StoreLayout:
    return trial(tmp_path_factory.mktemp("better"), rates=(0.2, 0.6))


@pytest.fixture(scope="module")
def reading(better: StoreLayout) -> ExperimentReading:
    return read_experiment(better, ReadRequest(KEY), SPEC)


def test_a_better_arm_is_found_at_every_look(reading: ExperimentReading) -> None:
    (found,) = reading.comparisons
    conversion = found.metric("conversion")
    assert conversion is not None
    assert conversion.verdict == "better"
    assert conversion.always is not None
    assert conversion.effect.low > 0
    # The interval that holds at every look is wider than that of one look, around the same.
    assert conversion.always.low < conversion.effect.low
    assert conversion.always.mean == conversion.effect.mean
    assert conversion.variance_reduction > 0.02
    assert conversion.looks[-1].subjects == 600
    assert [look.subjects for look in conversion.looks] == sorted(
        look.subjects for look in conversion.looks
    )


def test_the_arms_are_counted(reading: ExperimentReading) -> None:
    assert [(arm.variant, arm.subjects, arm.closed) for arm in reading.arms] == [
        ("control", 300, 300),
        ("treatment", 300, 300),
    ]
    assert reading.srm_p == 1.0
    assert reading.counts["answers kept"] == reading.counts["answers of the experiment"] == 1_200
    assert not reading.doubts


def test_steps_to_purchase_are_those_of_the_journeys(reading: ExperimentReading) -> None:
    steps = reading.comparisons[0].metric("steps_to_purchase")
    assert steps is not None
    # One or two views after the answer, and two more; a purchase before the test began a new way.
    assert 3.3 < steps.control < 3.7
    assert steps.verdict == "undecided"


def test_equal_guardrails_are_ok(reading: ExperimentReading) -> None:
    verdicts = {each.name: each.verdict for each in reading.comparisons[0].guardrails}
    assert verdicts["error_share"] == verdicts["empty_share"] == verdicts["fallback_share"] == "ok"
    assert verdicts["items_shown"] == "ok"
    # No answer says how much it changed.
    assert "changed_share" not in verdicts


def test_swapping_the_control_turns_the_verdict(better: StoreLayout) -> None:
    found = read_experiment(better, ReadRequest(KEY, control="treatment"), SPEC)
    conversion = found.comparisons[0].metric("conversion")
    assert conversion is not None
    assert conversion.verdict == "worse"


def test_known_alike_arms_that_differ_are_a_fault(better: StoreLayout) -> None:
    found = read_experiment(better, ReadRequest(KEY, is_same=True), SPEC)
    assert "treatment is better in conversion, of equal arms" in found.doubts


def test_lost_subjects_end_the_reading(tmp_path: Path) -> None:
    found = read_experiment(trial(tmp_path, lost=80), ReadRequest(KEY), SPEC)
    assert found.is_refused
    assert found.refusal is not None
    assert "control 300 (promised 260), treatment 220 (promised 260)" in found.refusal
    assert found.comparisons == ()
    assert "**Refused:**" in to_markdown(found)


def test_weights_from_outside_are_believed(better: StoreLayout) -> None:
    request = ReadRequest(KEY, weights=(("control", 1.0), ("treatment", 3.0)))
    assert read_experiment(better, request, SPEC).is_refused


def test_all_is_kept_as_files(reading: ExperimentReading, tmp_path: Path) -> None:
    names = {path.name for path in keep(reading, tmp_path)}
    assert {"reading.json", "reading.md", "conversion.png"} <= names
    once = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    keep(reading, tmp_path)
    assert once == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert "conversion (decides)" in once["reading.md"].decode()


def test_who_cannot_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    forced = (assigned("treatment", assigned_by="forced"),)
    outside = (assigned("treatment", in_experiment=False),)
    second = (assigned("treatment", phase=1),)
    records = [
        answer(1, "a", "control", 0),
        answer(2, "b", "treatment", 0),
        answer(2, "b", "treatment", 0),
        answer(3, "c", "treatment", 0, qa=True),
        answer(4, "d", "treatment", 0, assignments=forced),
        answer(5, "e", "treatment", 0, assignments=outside),
        answer(6, "f", "treatment", 0, subject_key=""),
        answer(7, "g", "control", 0),
        answer(8, "g", "treatment", HOUR),
        answer(9, "h", "treatment", 0, context={"device": "Bot"}),
        *(answer(100 + n, "i", "control", n) for n in range(70)),
        answer(10, "j", "treatment", 0, assignments=second),
    ]
    layout = store_of(tmp_path, bought("a", HOUR), records)
    found = read_experiment(layout, ReadRequest(KEY, phase=0), SPEC)
    counts = found.counts
    assert counts["left out: repeated record"] == 1
    assert counts["left out: forced, or marked qa"] == 2
    assert counts["left out: does not take part"] == 1
    assert counts["left out: nobody in particular"] == 1
    assert counts["left out: another phase"] == 1
    assert counts["left out: in several arms"] == 1
    assert counts["left out: bots"] == 2
    assert counts["subjects kept"] == 2
    assert counts["answers of the experiment"] == len(records)
    assert found.doubts == ("no subject's window of 7 days has ended",)


def test_only_what_was_before_a_moment_counts(better: StoreLayout) -> None:
    early = read_experiment(better, ReadRequest(KEY, until=None), replace(SPEC, window_days=15))
    assert sum(arm.closed for arm in early.arms) < 600
    later = read_experiment(better, ReadRequest(KEY), replace(SPEC, window_days=1))
    assert sum(arm.closed for arm in later.arms) == 600


def test_revenue_of_several_currencies_is_left_out(tmp_path: Path) -> None:
    rows = [*bought("v0", HOUR), *bought("v1", HOUR)]
    rows[-1]["currency"] = "USD"
    records = [answer(n, f"v{n}", ("control", "treatment")[n % 2], 0) for n in range(6)]
    rows.append(bought("z", 12 * DAY)[0])
    found = read_experiment(store_of(tmp_path, rows, records), ReadRequest(KEY), SPEC)
    assert "revenue is left out: it is in EUR, USD" in found.doubts
    assert found.comparisons[0].metric("revenue") is None


def test_what_is_not_there_is_said(better: StoreLayout) -> None:
    with pytest.raises(DataError, match="no answer of experiment 'other'"):
        read_experiment(better, ReadRequest("other"), SPEC)
    with pytest.raises(DataError, match="no answer of phase 3; it has phases"):
        read_experiment(better, ReadRequest(KEY, phase=3), SPEC)
    with pytest.raises(InvalidInputError, match="control 'x' has no subject"):
        read_experiment(better, ReadRequest(KEY, control="x"), SPEC)


def test_lists_that_are_always_empty_break_their_guardrail(tmp_path: Path) -> None:
    """No shopper of an arm differs from another there, so that nothing has a standard error."""
    records = [
        answer(
            number,
            f"v{number}",
            ("control", "treatment")[number % 2],
            number * HOUR // 10,
            **({"items": (), "eligible_count": 0} if number % 2 else {}),
        )
        for number in range(400)
    ]
    found = read_experiment(store_of(tmp_path, bought("v0", HOUR), records), ReadRequest(KEY), SPEC)
    rails = {each.name: each for each in found.comparisons[0].guardrails}
    assert (rails["empty_share"].control, rails["empty_share"].treatment) == (0, 1)
    assert rails["empty_share"].verdict == "broken"
    assert rails["error_share"].verdict == "ok"
