from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.forest import Forest
from recommender.forest_arrays import heads_of
from training.models.feature_file import FeatureFile
from training.models.ranker import LEVELS, Lesson, TaughtHead, is_answerable, teach
from training.sections import RankerSpec

SPEC = RankerSpec(rounds=30, leaves=4, min_leaf=5, min_questions=20, patience=5, feature_share=1.0)
NAMES = ("noise", "signal", "missing")


Lessons = Callable[..., list[Lesson]]


@pytest.fixture
def lessons(tmp_path: Path) -> Iterator[Lessons]:
    with FeatureFile(tmp_path) as file:

        def made(questions: int = 120, seed: int = 0, noise: float = 0.0) -> list[Lesson]:
            """Of ten candidates the one with the highest signal is right, but for the noise."""
            rng = np.random.default_rng(seed)
            features = rng.normal(size=(questions, 10, 3)).astype(np.float32)
            features[:, :, 2] = np.nan
            right = (features[:, :, 1] + noise * rng.normal(size=(questions, 10))).argmax(axis=1)
            levels = np.zeros((questions, 10), np.int32)
            levels[np.arange(questions), right] = LEVELS
            return [
                Lesson(file.append(rows), each) for rows, each in zip(features, levels, strict=True)
            ]

        yield made


def taught(given: list[Lesson], spec: RankerSpec = SPEC, threads: int = 1) -> TaughtHead:
    head = teach(given, "next_step", NAMES, spec, threads)
    assert head is not None
    return head


def firsts(head: TaughtHead, asked: list[Lesson]) -> np.ndarray:
    """Whether what is put first is right, bool (questions,)."""
    (name,) = heads_of(head.arrays)
    forest = Forest.from_arrays(head.arrays, name, len(NAMES))
    return np.array(
        [each.levels[forest.score(each.features.read()).argmax()] > 0 for each in asked]
    )


def test_an_obvious_order_is_learnt(lessons: Lessons) -> None:
    head = taught(lessons(300))
    assert firsts(head, lessons(100, seed=1)).mean() > 0.85
    assert next(iter(head.importance)) == "signal"
    assert "missing" not in head.importance
    assert sum(head.importance.values()) == pytest.approx(1, abs=1e-3)
    assert head.questions == (255, 45)
    assert max(head.curve) == pytest.approx(head.curve[head.rounds - 1])


def test_no_more_trees_are_grown_once_they_bring_nothing(lessons: Lessons) -> None:
    head = taught(lessons(120, noise=100.0), replace(SPEC, rounds=200))
    assert head.rounds < 100
    assert head.rounds <= len(head.curve) <= head.rounds + SPEC.patience
    assert len(head.arrays["forest_next_step_offsets"]) == head.rounds + 1


def most_leaves(head: TaughtHead) -> int:
    offsets = head.arrays["forest_next_step_offsets"]
    return int(np.diff(offsets).max()) + 1  # a tree has one leaf more than nodes


@pytest.mark.parametrize(("leaf_questions", "most"), [(10, 25), (50, 7), (1, 30)])
def test_few_questions_grow_small_trees(leaf_questions: int, most: int, lessons: Lessons) -> None:
    spec = replace(SPEC, leaves=30, leaf_questions=leaf_questions)
    assert most_leaves(taught(lessons(300, noise=0.5), spec)) == most


def test_the_same_lessons_give_the_same_trees_on_any_number_of_threads(lessons: Lessons) -> None:
    one, two = taught(lessons(noise=0.5)), taught(lessons(noise=0.5), threads=2)
    assert one.arrays.keys() == two.arrays.keys()
    for name, array in one.arrays.items():
        assert array.tobytes() == two.arrays[name].tobytes(), name
    assert one.curve == two.curve
    other = taught(lessons(noise=0.5), replace(SPEC, seed=7))
    assert (
        other.arrays["forest_next_step_leaf"].tobytes()
        != one.arrays["forest_next_step_leaf"].tobytes()
    )


def test_from_too_few_questions_nothing_is_learnt(lessons: Lessons) -> None:
    assert teach(lessons(19), "next_step", NAMES, SPEC, 1) is None
    assert teach(lessons(20), "next_step", NAMES, SPEC, 1) is not None


def test_questions_that_nothing_can_be_learnt_from_do_not_count(lessons: Lessons) -> None:
    given = lessons(40)
    nothing_right = [replace(each, levels=each.levels * 0) for each in given[:10]]
    nothing_wrong = [replace(each, levels=each.levels * 0 + 1) for each in given[10:25]]
    given = nothing_right + nothing_wrong + given[25:]
    assert [is_answerable(each.levels) for each in given] == [False] * 25 + [True] * 15
    assert teach(given, "next_step", NAMES, SPEC, 1) is None
    assert teach([], "next_step", NAMES, SPEC, 1) is None


def test_a_head_that_begins_with_another_needs_few_questions(lessons: Lessons) -> None:
    step = taught(lessons(300, noise=0.5))
    few, asked = lessons(20, seed=2, noise=0.5), lessons(200, seed=3)
    alone = teach(few, "purchase", NAMES, SPEC, 1)
    both = teach(few, "purchase", NAMES, SPEC, 1, onto=step)
    assert alone is not None
    assert both is not None
    trees = len(step.arrays["forest_next_step_offsets"]) - 1
    assert len(both.arrays["forest_purchase_offsets"]) - 1 == trees + both.rounds
    right = {id(head): firsts(head, asked).mean() for head in (step, alone, both)}
    assert right[id(both)] > right[id(alone)] + 0.05, right


def scores(head: TaughtHead, asked: list[Lesson]) -> np.ndarray:
    (name,) = heads_of(head.arrays)
    forest = Forest.from_arrays(head.arrays, name, len(NAMES))
    return np.concatenate([forest.score(each.features.read()) for each in asked])


def test_several_bags_say_the_mean_of_what_each_says(lessons: Lessons) -> None:
    given, asked = lessons(150, noise=0.5), lessons(30, seed=1)
    alone = [taught(given, replace(SPEC, seed=SPEC.seed + number)) for number in range(3)]
    together = taught(given, replace(SPEC, bags=3))
    assert scores(together, asked) == pytest.approx(
        np.mean([scores(each, asked) for each in alone], axis=0), abs=1e-9
    )
    assert not np.allclose(scores(alone[0], asked), scores(alone[1], asked))
    assert together.rounds == sum(each.rounds for each in alone)
    assert together.rounds == len(together.arrays["forest_next_step_offsets"]) - 1
    assert (together.questions, together.curve) == (alone[0].questions, alone[0].curve)
    assert sum(together.importance.values()) == pytest.approx(1, abs=1e-3)
    assert list(together.importance.values()) == sorted(together.importance.values())[::-1]


def test_bags_of_a_head_that_begins_with_another_correct_it_by_their_mean(lessons: Lessons) -> None:
    step, few, asked = taught(lessons(300, noise=0.5)), lessons(30, seed=2), lessons(30, seed=3)

    def corrections(spec: RankerSpec) -> np.ndarray:
        head = teach(few, "purchase", NAMES, spec, 1, onto=step)
        assert head is not None
        return scores(head, asked) - scores(step, asked)

    each = [corrections(replace(SPEC, seed=SPEC.seed + number)) for number in range(2)]
    assert corrections(replace(SPEC, bags=2)) == pytest.approx(np.mean(each, axis=0), abs=1e-9)
