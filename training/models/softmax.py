"""Gradients of a softmax over sampled answers, by parts of the questions side by side.

What is found does not depend on how many threads there are: parts are cut and added up alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from recommender.terms import Float32Array, Int64Array

# Questions of a part. Smaller ones keep more cores busy, but are multiplied less well: parts of 128
# took 15 % more processor time than all 512 at once, parts of 256 5 %.
_PART: Final = 256


class Answers(NamedTuple):
    """Which candidates are right.

    Parameters
    ----------
    asked
        Row of the question of each answer, ascending, each question at least once, int64 (n,).
    right
        The candidate, int64 (n,).
    """

    asked: Int64Array
    right: Int64Array


class Gradients(NamedTuple):
    """By the questions and by the candidates, float32 in their shapes."""

    by_question: Float32Array
    by_candidate: Float32Array


def softmax_gradients(
    questions: Float32Array,
    candidates: Float32Array,
    answers: Answers,
    shift: Float32Array,
    temperature: float,
    threads: Executor,
) -> Gradients:
    """Gradients of the mean over all answers of -log softmax(question · candidate / τ - shift).

    Parameters
    ----------
    questions
        float32 (q, factors).
    candidates
        float32 (c, factors).
    answers
        Those of one question share its softmax.
    shift
        Taken off the score of each candidate, float32 (c,).
    temperature
        τ.
    threads
        Where parts are worked on; a single one is not handed out. BLAS should have one thread:
        parts share the cores.
    """
    sharpness = np.float32(1 / temperature)
    part_of = partial(
        _part, candidates=candidates, shift=shift, worth=np.float32(1 / len(answers.asked))
    )
    cut = list(_cut(questions * sharpness, answers))
    # Handing a part to a thread takes as long as a small part does.
    parts = list(map(part_of, cut) if len(cut) == 1 else threads.map(part_of, cut))
    by_candidate = parts[0].by_candidate
    for part in parts[1:]:
        by_candidate += part.by_candidate
    by_question = np.concatenate([part.by_question for part in parts])
    return Gradients(by_question * sharpness, by_candidate)


def _cut(questions: Float32Array, answers: Answers) -> Iterator[tuple[Float32Array, Answers]]:
    """Rows of questions, and the answers to them counted from the first of these."""
    for begin in range(0, len(questions), _PART):
        own = slice(*np.searchsorted(answers.asked, (begin, begin + _PART)))
        rows = questions[begin : begin + _PART]
        yield rows, Answers(answers.asked[own] - begin, answers.right[own])


def _part(
    asked: tuple[Float32Array, Answers],
    candidates: Float32Array,
    shift: Float32Array,
    worth: np.float32,
) -> Gradients:
    """Of the losses of some questions, each worth so much, by the questions over τ."""
    questions, answers = asked
    scores: Float32Array = questions @ candidates.T
    scores -= shift
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    # Answers of one question share its chances.
    shares = np.bincount(answers.asked) * (worth / scores.sum(axis=1))
    scores *= shares.astype(np.float32)[:, None]
    np.subtract.at(scores, (answers.asked, answers.right), worth)
    return Gradients(scores @ candidates, scores.T @ questions)
