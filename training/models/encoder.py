"""Item vectors and lag weights that put what comes next near what was met before.

A way is encoded as the sum of the vectors of its latest distinct items, each times the weight of
its lag; the vector of length 1 in that direction, h, is near the next item j where h · e_j / |e_j|
is large. Both come from one table of vectors: encoder and items live in one space. Learnt with

    loss = -log softmax(h · e_j / (|e_j| τ))

over all items or a sample of them, whose chance is taken off its score (log q), and with a part of
the numbers of the items and a part of the steps left out at random: Hou et al. 2022, "CORE: Simple
and effective session-based recommendation within consistent representation space"; sampled
softmax: Jean et al. 2015. The steps are those of Adam (Kingma and Ba 2015), on the rows that a
batch touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from feature_store.cores import usable_cores
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from training.known_events import KnownEvents
from training.models.adam import RowAdam
from training.models.encoder_questions import EncoderQuestions, encoder_questions
from training.models.softmax import Answers, Gradients, softmax_gradients
from training.sections import EncoderSpec

_FIRST_SPREAD = 0.1
_FIRST_DECAY = 0.8
_TINY: Final = 1e-8


@dataclass(frozen=True, slots=True)
class Encoder:
    """What was learnt.

    Parameters
    ----------
    vectors
        Directions of the items, rows of length 1; 0 for an item that was never met nor came;
        float32 (items, factors).
    lengths
        Of the vectors, float32 (items,): how much an item says of what comes.
    lag_weights
        float32 (depth,); the first is 1.
    """

    vectors: Float32Array
    lengths: Float32Array
    lag_weights: Float32Array


def learn_encoder(
    events: KnownEvents, weight_by_code: Float64Array, spec: EncoderSpec
) -> Encoder | None:
    """Learn from the ways of shoppers; None where there are too few questions."""
    questions = encoder_questions(events, weight_by_code, spec.depth, spec.max_questions)
    if len(questions.came) < spec.min_questions:
        return None
    # Parts of a batch share the cores; threads of BLAS would wait for each other there.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable_cores()) as threads:
        lesson = _Lesson(questions, events.items, spec, threads)
        lesson.learn()
    return lesson.encoder()


class _Lesson:
    """The state of one learning run."""

    def __init__(
        self, questions: EncoderQuestions, items: int, spec: EncoderSpec, threads: Executor
    ) -> None:
        self._questions, self._spec, self._threads = questions, spec, threads
        self._rng = np.random.default_rng(spec.seed)
        first = self._rng.standard_normal((items, spec.factors), np.float32)
        self._vectors = RowAdam(first * np.float32(_FIRST_SPREAD))
        logs = np.arange(spec.depth, dtype=np.float32)[:, None] * np.log(np.float32(_FIRST_DECAY))
        self._lag_logs = RowAdam(logs)
        counts = np.bincount(questions.came, minlength=items).astype(np.float64)
        chance = counts**spec.smoothing
        self._chance = chance / chance.sum()
        self._reached = np.cumsum(self._chance)

    def learn(self) -> None:
        """Go through the questions in random order, epoch by epoch, in ever smaller steps."""
        spec, answers = self._spec, len(self._questions.came)
        batch = min(spec.batch, answers)
        steps = max(min(spec.epochs * (answers // batch), spec.max_steps), spec.min_steps)
        for step, asked in zip(range(steps), self._batches(batch), strict=False):
            self._step(asked, spec.learning_rate * (1 + np.cos(np.pi * step / steps)) / 2)

    def _batches(self, size: int) -> Iterator[Int64Array]:
        """Moments at which about so many items came, each once before one comes again."""
        while True:
            order = self._rng.permutation(len(self._questions))
            reached = np.cumsum(self._questions.sizes[order])
            filled = np.arange(size, reached[-1] + 1, size)
            yield from np.split(order, np.unique(np.searchsorted(reached, filled)) + 1)[:-1]

    def encoder(self) -> Encoder:
        """What is known by now."""
        seen = np.zeros(len(self._vectors.rows), np.bool_)
        seen[self._questions.came] = True
        seen[self._questions.met[self._questions.met >= 0]] = True
        vectors, lengths = _unit(self._vectors.rows * seen[:, None])
        logs = self._lag_logs.rows[:, 0]
        return Encoder(vectors, lengths[:, 0] * seen, np.exp(logs - logs[0]))

    def _step(self, asked: Int64Array, rate: float) -> None:
        met, lags = self._questions.met[asked], self._questions.lags[asked]
        answers = self._questions.answers(asked)
        kept = self._kept(met)
        candidates = self._candidates(answers[1])
        rows = np.unique(np.concatenate([met[kept], candidates]))
        vectors = self._vectors.rows[rows]
        # The way of each question as a row of weights over the rows at hand.
        question, _ = np.nonzero(kept)
        place, lag = np.searchsorted(rows, met[kept]), lags[kept]
        weights = np.exp(self._lag_logs.rows[lag, 0])
        ways = sparse.csr_array((weights, (question, place)), shape=(len(asked), len(rows)))
        way, way_length = _unit(ways @ vectors)
        at = np.searchsorted(rows, candidates)
        item, item_length = _unit(vectors[at])
        mask = self._mask(item.shape)
        pull, push = self._gradients(way, item * mask, candidates, answers)
        slope = _through_unit(pull, way, way_length)
        gradient = np.asarray(ways.T @ slope)
        gradient[at] += _through_unit(push * mask, item, item_length)
        of_lag = weights * np.einsum("nf,nf->n", slope[question], vectors[place])
        summed = np.bincount(lag, of_lag, self._spec.depth).astype(np.float32)
        self._vectors.step(rows, gradient, rate)
        self._lag_logs.step_all(summed[:, None], rate)

    def _kept(self, met: Int32Array) -> BoolArray:
        """Which met items are not left out; of none all of them."""
        known = met >= 0
        kept = known & (self._rng.random(met.shape) >= self._spec.step_dropout)
        kept[:, 0] |= ~kept.any(axis=1)
        return kept

    def _candidates(self, came: Int32Array) -> Int32Array:
        """Items that the right ones are told apart from, ascending, they among them."""
        if len(self._chance) <= self._spec.negatives:
            return np.arange(len(self._chance), dtype=np.int32)
        draws = self._rng.random(self._spec.negatives) * self._reached[-1]
        drawn = np.searchsorted(self._reached, draws, side="right")
        drawn = np.minimum(drawn, len(self._chance) - 1)
        found: Int32Array = np.unique(np.concatenate([came, drawn.astype(np.int32)]))
        return found

    def _mask(self, shape: tuple[int, ...]) -> Float32Array:
        share = np.float32(self._spec.dropout)
        kept = self._rng.random(shape, np.float32) >= share
        mask: Float32Array = kept.astype(np.float32) / (1 - share)
        return mask

    def _gradients(
        self,
        way: Float32Array,
        item: Float32Array,
        candidates: Int32Array,
        answers: tuple[Int64Array, Int32Array],
    ) -> Gradients:
        """Of the mean loss, by the ways' directions and by those of the items."""
        asked, came = answers
        right = Answers(asked, np.searchsorted(candidates, came))
        shift, spec = self._shift(candidates), self._spec
        return softmax_gradients(way, item, right, shift, spec.temperature, self._threads)

    def _shift(self, candidates: Int32Array) -> Float32Array:
        """Log of how often each candidate is among those drawn; 0 where none are drawn."""
        if len(candidates) == len(self._chance):
            return np.zeros(len(candidates), np.float32)
        expected = np.minimum(self._chance[candidates] * self._spec.negatives, 1.0)
        shift: Float32Array = np.log(expected + 1e-12).astype(np.float32)
        return shift


def _unit(vectors: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Rows of length 1, and the lengths they had, float32 (rows, 1)."""
    lengths: Float32Array = np.linalg.norm(vectors, axis=1, keepdims=True) + _TINY
    unit: Float32Array = vectors / lengths
    return unit, lengths


def _through_unit(
    gradient: Float32Array, unit: Float32Array, lengths: Float32Array
) -> Float32Array:
    """The gradient by the vectors that were brought to length 1."""
    along = np.einsum("rf,rf->r", gradient, unit)[:, None]
    found: Float32Array = (gradient - unit * along) / lengths
    return found
