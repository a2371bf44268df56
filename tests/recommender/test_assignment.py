"""Who gets which arm, and why; the shared vectors are in tests/conformance."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.assignment import (
    ASSIGNED,
    BLOCKED,
    FILTERED,
    FORCED,
    IN_HOLDOUT,
    IN_TEST_MODE,
    NO_SUBJECT,
    NOT_COVERED,
    NOT_ELIGIBLE,
    NOT_RUNNING,
    OTHER_NAMESPACE,
    REMEMBERED,
    SINGLE_ARM,
    Subject,
    assign,
)
from recommender.assignment import (
    given as given_arm,
)
from recommender.bucketing import bucket_of
from recommender.errors import InvalidInputError
from recommender.experiment import BucketFilter, Experiment, Holdout, Namespace, Sticky

TEST = Experiment("test", ("control", "treatment"), "seed")
ids = st.text(min_size=1, max_size=12)


def visitor(visitor_id: str, **more: object) -> Subject:
    return Subject({"visitor": visitor_id}, **more)  # type: ignore[arg-type]


@given(visitor_id=ids)
def test_the_same_subject_gets_the_same_arm(visitor_id: str) -> None:
    first, again = assign(TEST, visitor(visitor_id)), assign(replace(TEST), visitor(visitor_id))
    assert (first.variant, first.bucket) == (again.variant, again.bucket)
    assert first.bucket == bucket_of("seed", visitor_id)
    assert first.variant == ("control" if first.bucket < 0.5 else "treatment")
    assert (first.reason, first.probability, first.in_experiment) == (ASSIGNED, 0.5, True)


@pytest.mark.parametrize(
    ("experiment", "subject", "reason"),
    [
        (replace(TEST, arms=("control",)), visitor("v"), SINGLE_ARM),
        (replace(TEST, status="paused"), visitor("v"), NOT_RUNNING),
        (TEST, Subject({"user": "u"}), NO_SUBJECT),
        (TEST, visitor(""), NO_SUBJECT),
        (replace(TEST, holdout=Holdout("h", 1.0)), visitor("v"), IN_HOLDOUT),
        (replace(TEST, namespace=Namespace("n", 0, 0)), visitor("v"), OTHER_NAMESPACE),
        (replace(TEST, filters=(BucketFilter("f", ()),)), visitor("v"), FILTERED),
        (TEST, visitor("v", is_eligible=False), NOT_ELIGIBLE),
        (replace(TEST, coverage=0.0), visitor("v"), NOT_COVERED),
        (TEST, visitor("v", is_in_test_mode=True), IN_TEST_MODE),
    ],
)
def test_who_does_not_take_part_is_told_why(
    experiment: Experiment, subject: Subject, reason: str
) -> None:
    found = assign(experiment, subject)
    assert (found.in_experiment, found.variant, found.reason) == (False, "control", reason)
    assert found.probability is None
    assert found.to_remember is None


def test_a_forced_arm_needs_no_running_experiment_and_no_subject() -> None:
    subject = Subject({}, forced={"test": "treatment"}, is_in_test_mode=True)
    found = assign(replace(TEST, status="draft"), subject)
    assert (found.variant, found.reason, found.bucket) == ("treatment", FORCED, None)
    assert assign(TEST, visitor("v", forced={"test": "unknown"})).reason == ASSIGNED
    with pytest.raises(ValueError, match="not in tuple"):
        given_arm(TEST, "unknown", FORCED)


def test_a_fallback_unit_stands_in() -> None:
    experiment = replace(TEST, unit="user", fallback_unit="visitor")
    assert assign(experiment, visitor("v")).unit == ("visitor", "v")
    assert assign(experiment, Subject({"user": "u", "visitor": "v"})).unit == ("user", "u")


def test_experiments_in_parts_of_one_namespace_share_nobody() -> None:
    first = replace(TEST, namespace=Namespace("n", 0, 0.5))
    second = replace(TEST, key="other", namespace=Namespace("n", 0.5, 1))
    both = [
        assign(first, visitor(f"v{i}")).in_experiment
        + assign(second, visitor(f"v{i}")).in_experiment
        for i in range(500)
    ]
    assert set(both) == {1}
    assert not first.namespace.overlaps(second.namespace)  # type: ignore[union-attr, arg-type]


def test_what_is_remembered_outlives_other_weights() -> None:
    experiment = replace(TEST, sticky=Sticky(1))
    first = assign(experiment, visitor("v"))
    unit, key, arm = first.to_remember or pytest.fail("nothing to remember")
    assert (unit, key) == (("visitor", "v"), "test__1")
    other = 1.0 if arm == "treatment" else 0.0
    moved = replace(experiment, weights=(other, 1 - other), phase=1)
    assert assign(moved, visitor("v")).variant != arm
    again = assign(moved, visitor("v", remembered={unit: {key: arm}}))
    assert (again.variant, again.reason, again.is_sticky) == (arm, REMEMBERED, True)
    assert again.probability is None
    anew = replace(moved, sticky=Sticky(2))
    assert assign(anew, visitor("v", remembered={unit: {key: arm}})).reason == ASSIGNED
    blocked = replace(moved, sticky=Sticky(2, min_version=2))
    assert assign(blocked, visitor("v", remembered={unit: {key: arm}})).reason == BLOCKED


def test_probabilities_are_those_of_who_takes_part() -> None:
    assert replace(TEST, weights=(0.1, 0.9), coverage=0.5).probabilities == pytest.approx(
        {"control": 0.1, "treatment": 0.9}
    )
    assert replace(TEST, coverage=0.0).probabilities == {"control": 0.0, "treatment": 0.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ()},
        {"arms": ("a", "a")},
        {"status": "gone"},
        {"hash_version": 3},
        {"weights": (1.0,)},
        {"ranges": ((0.0, 0.5),)},
        {"ranges": ((0.0, 0.5), (0.5, 2.0))},
    ],
)
def test_what_is_no_experiment_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="accepted"):
        replace(TEST, **changes)  # type: ignore[arg-type]
