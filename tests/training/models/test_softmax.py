from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.models.softmax import _PART, Answers, Gradients, softmax_gradients

FACTORS, CANDIDATES, TAU = 6, 30, 0.2


def case(questions: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Answers, np.ndarray]:
    """Questions with one to three answers each."""
    rng = np.random.default_rng(seed)
    asked = np.repeat(np.arange(questions), rng.integers(1, 4, questions))
    return (
        rng.standard_normal((questions, FACTORS)).astype(np.float32),
        rng.standard_normal((CANDIDATES, FACTORS)).astype(np.float32),
        Answers(asked, rng.integers(0, CANDIDATES, len(asked))),
        rng.standard_normal(CANDIDATES).astype(np.float32),
    )


def found(given: tuple[np.ndarray, np.ndarray, Answers, np.ndarray], threads: int = 1) -> Gradients:
    with ThreadPoolExecutor(threads) as pool:
        return softmax_gradients(*given, TAU, pool)


def at_once(
    questions: np.ndarray, candidates: np.ndarray, answers: Answers, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The formula, answer by answer in double precision."""
    questions, candidates = questions.astype(float), candidates.astype(float)
    scores = questions @ candidates.T / TAU - shift
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    slopes = np.zeros_like(scores)
    for row, right in zip(*answers, strict=True):
        slopes[row] += shares[row]
        slopes[row, right] -= 1
    slopes /= TAU * len(answers.asked)
    return slopes @ candidates, slopes.T @ questions


@given(st.integers(1, 3 * _PART), st.integers(0, 2**32 - 1))
def test_parts_add_up_to_the_gradients_of_the_mean_loss(questions: int, seed: int) -> None:
    asked = case(questions, seed)
    by_question, by_candidate = at_once(*asked)
    assert found(asked).by_question == pytest.approx(by_question, rel=1e-3, abs=1e-4)
    assert found(asked).by_candidate == pytest.approx(by_candidate, rel=1e-3, abs=1e-4)


def test_the_number_of_threads_changes_no_bit() -> None:
    asked = case(3 * _PART + 7)
    one, four = found(asked), found(asked, 4)
    assert np.array_equal(one.by_question, four.by_question)
    assert np.array_equal(one.by_candidate, four.by_candidate)


@pytest.mark.parametrize(("questions", "handed_out"), [(_PART, 0), (_PART + 1, 2)])
def test_a_single_part_goes_to_no_thread(questions: int, handed_out: int) -> None:
    with ThreadPoolExecutor(1) as pool, patch.object(pool, "submit", wraps=pool.submit) as submit:
        softmax_gradients(*case(questions), TAU, pool)
    assert submit.call_count == handed_out


def test_what_is_given_stays_as_it_was() -> None:
    asked = case(2 * _PART)
    kept = [np.copy(each) for each in (asked[0], asked[1], asked[3])]
    found(asked)
    for before, after in zip(kept, (asked[0], asked[1], asked[3]), strict=True):
        assert np.array_equal(before, after)
