from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import check_grad

from recommender.candidates.encoder import EncoderSource
from recommender.seeds import NO_SEEDS, PART_CODES, Seeds
from recommender.terms import EVENT_CODES, VIEW_ITEM
from tests.training.models.test_encoder_questions import VIEW, weights
from training.known_events import KnownEvents
from training.models.adam import RowAdam
from training.models.encoder import Encoder, _Lesson, _through_unit, _unit, learn_encoder
from training.models.encoder_questions import EncoderQuestions, encoder_questions
from training.sections import EncoderSpec

ITEMS, SHOPPERS, STEPS = 40, 150, 9
THREADS = ThreadPoolExecutor(1)
SPEC = EncoderSpec(factors=16, epochs=3, min_steps=150, batch=128, learning_rate=0.02)


def rings(seed: int = 0, items: int = ITEMS) -> KnownEvents:
    """Everybody goes round one of two rings of items, one item on at each step."""
    rng = np.random.default_rng(seed)
    half = items // 2
    begin = rng.integers(0, half, SHOPPERS)[:, None]
    ring = rng.integers(0, 2, SHOPPERS)[:, None] * half
    item = ring + (begin + np.arange(STEPS)) % half
    shopper = np.repeat(np.arange(SHOPPERS, dtype=np.int32), STEPS)
    return KnownEvents(
        shopper,
        item.ravel().astype(np.int32),
        np.full(len(shopper), VIEW, np.int32),
        shopper.astype(np.int64),
        np.tile(np.arange(STEPS, dtype=np.int64) * 1_000_000, SHOPPERS),
        items + 1,  # the last one nobody ever met
        0,
        10**9,
    )


def source(found: Encoder) -> EncoderSource:
    return EncoderSource(found.vectors, found.lengths, found.lag_weights, SPEC.temperature)


def way(*items: int) -> Seeds:
    count = len(items)
    return Seeds(
        np.array(items, np.int32),
        np.full(count, EVENT_CODES[VIEW_ITEM], np.int32),
        np.ones(count, np.float32),
        np.arange(count, 0, -1).astype(np.float32),
        np.full(count, PART_CODES["session"], np.int32),
    )


def hits(found: Encoder) -> int:
    """How often the item that comes next on the ring is among the six nearest."""
    everything = np.ones(ITEMS + 1, np.bool_)
    asked = [
        source(found).candidates(way(start, start + 1, start + 2), everything, 6)
        for start in range(ITEMS // 2 - 3)
    ]
    return sum(start + 3 in proposed.item_idx for start, proposed in enumerate(asked))


@pytest.fixture(scope="module")
def learnt() -> Encoder:
    found = learn_encoder(rings(), weights(), SPEC)
    assert found is not None
    return found


def test_the_next_item_is_among_the_nearest(learnt: Encoder) -> None:
    assert hits(learnt) >= 15  # of 17; by chance 2 or 3


def test_there_are_at_most_so_many_steps_however_many_rounds_are_wanted() -> None:
    log = rings()
    few = learn_encoder(log, weights(), replace(SPEC, epochs=1, min_steps=60))
    stopped = learn_encoder(log, weights(), replace(SPEC, epochs=100, min_steps=1, max_steps=60))
    more = learn_encoder(log, weights(), replace(SPEC, epochs=100, min_steps=1, max_steps=61))
    assert few is not None
    assert stopped is not None
    assert more is not None
    assert np.array_equal(few.vectors, stopped.vectors)
    assert not np.array_equal(few.vectors, more.vectors)


def test_later_steps_say_more(learnt: Encoder) -> None:
    assert learnt.lag_weights[0] == 1
    assert learnt.lag_weights[0] > learnt.lag_weights[3] > 0


def test_directions_have_length_one_and_the_unknown_none(learnt: Encoder) -> None:
    lengths = np.linalg.norm(learnt.vectors, axis=1)
    assert lengths[:-1] == pytest.approx(1, abs=1e-5)
    assert lengths[-1] == learnt.lengths[-1] == 0
    proposed = source(learnt).candidates(way(1), np.ones(ITEMS + 1, np.bool_), ITEMS + 1)
    assert ITEMS not in proposed.item_idx
    assert (proposed.scores > 0).all()
    assert (np.diff(proposed.scores) <= 0).all()


def test_only_what_may_be_shown_is_proposed(learnt: Encoder) -> None:
    eligible = np.zeros(ITEMS + 1, np.bool_)
    eligible[[4, 9]] = True
    proposed = source(learnt).candidates(way(2, 3), eligible, 5)
    assert sorted(proposed.item_idx.tolist()) == [4, 9]


def test_a_way_of_the_unknown_proposes_nothing(learnt: Encoder) -> None:
    everything = np.ones(ITEMS + 1, np.bool_)
    assert not len(source(learnt).candidates(way(ITEMS), everything, 5).item_idx)
    assert not len(source(learnt).candidates(NO_SEEDS, everything, 5).item_idx)


def test_the_same_events_give_the_same_vectors(learnt: Encoder) -> None:
    again = learn_encoder(rings(), weights(), SPEC)
    assert again is not None
    assert np.array_equal(again.vectors, learnt.vectors)
    assert np.array_equal(again.lag_weights, learnt.lag_weights)


def test_the_vectors_do_not_depend_on_the_number_of_cores() -> None:
    spec = replace(SPEC, batch=700, min_steps=1)  # in more parts than one

    def learnt_on(cores: int) -> Encoder:
        with patch("training.models.encoder.usable_cores", return_value=cores):
            found = learn_encoder(rings(), weights(), spec)
        assert found is not None
        return found

    assert np.array_equal(learnt_on(1).vectors, learnt_on(3).vectors)


def test_a_sample_of_the_catalogue_does_nearly_as_well() -> None:
    spec = EncoderSpec(
        factors=16, epochs=3, min_steps=300, batch=128, learning_rate=0.02, negatives=12
    )
    found = learn_encoder(rings(), weights(), spec)
    assert found is not None
    assert hits(found) >= 12


def test_too_few_questions_give_no_encoder() -> None:
    spec = EncoderSpec(min_questions=SHOPPERS * STEPS)
    assert learn_encoder(rings(), weights(), spec) is None


def test_steps_go_down_the_gradient_of_the_loss() -> None:
    """The module's gradient against finite differences of the loss it is said to be of."""
    rng = np.random.default_rng(3)
    questions, items, factors, tau = 5, 7, 4, 0.3
    asked = np.array([0, 0, 0, 1, 2, 3, 4, 4])  # several items came at some moments
    lesson = _Lesson(
        encoder_questions(rings(items=6), weights(), 3, 1_000),
        items,
        EncoderSpec(temperature=tau),
        THREADS,
    )
    ways = sparse.csr_array(rng.random((questions, items)) * (rng.random((questions, items)) > 0.5))
    ways = sparse.csr_array(ways + sparse.eye_array(questions, items))
    came = rng.integers(0, items, len(asked))

    def loss(flat: np.ndarray) -> float:
        table = flat.reshape(items, factors)
        way = ways @ table
        way = way / np.linalg.norm(way, axis=1, keepdims=True)
        item = table / np.linalg.norm(table, axis=1, keepdims=True)
        scores = way @ item.T / tau
        top = scores[asked, came]
        return float(np.mean(np.log(np.exp(scores).sum(axis=1))[asked] - top))

    def gradient(flat: np.ndarray) -> np.ndarray:
        table = flat.reshape(items, factors)
        way, way_length = _unit(ways @ table)
        item, item_length = _unit(table)
        pull, push = lesson._gradients(way, item, np.arange(items), (asked, came))
        through_way = ways.T @ _through_unit(pull, way, way_length)
        found = through_way + _through_unit(push, item, item_length)
        return np.asarray(found).ravel()

    start = rng.standard_normal(items * factors)
    assert check_grad(loss, gradient, start) < 1e-5


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 40))
def test_a_batch_is_of_whole_moments_and_as_large_as_asked(sizes: list[int], size: int) -> None:
    moments = len(sizes)
    no_way = np.zeros((moments, 1), np.int32)
    begins = np.append(0, np.cumsum(sizes))
    came = np.zeros(begins[-1], np.int32)
    lesson = _Lesson(EncoderQuestions(no_way, no_way, begins, came), 1, EncoderSpec(), THREADS)
    size = min(size, len(came))
    batches = lesson._batches(size)
    taken = []
    while sum(map(len, taken)) < moments - size:
        taken.append(next(batches))
    for number, batch in enumerate(taken, start=1):
        reached = sum(sizes[moment] for each in taken[:number] for moment in each)
        assert len(batch)
        assert reached >= number * size  # of a batch, what is over belongs to its last moment
    once = np.concatenate([*taken, np.empty(0, np.int64)])
    assert len(set(once.tolist())) == len(once)


def test_a_batch_of_baskets_is_counted_by_their_items() -> None:
    spec = EncoderSpec(batch=100)
    begins = np.arange(0, 2_001, 10)
    no_way = np.zeros((200, 1), np.int32)
    questions = EncoderQuestions(no_way, no_way, begins, np.zeros(2_000, np.int32))
    batches = _Lesson(questions, 1, spec, THREADS)._batches(spec.batch)
    assert [len(next(batches)) for _ in range(40)] == [10] * 40


def test_adam_takes_its_first_step_at_the_rate_whatever_the_gradient() -> None:
    table = RowAdam(np.zeros((3, 2), np.float32))
    table.step(np.array([0, 2]), np.array([[1e-3, -5.0], [0.5, 2.0]], np.float32), 0.1)
    expected = np.array([[-0.1, 0.1], [0, 0], [-0.1, -0.1]])
    assert table.rows == pytest.approx(expected, abs=1e-5)


def test_adam_steps_as_its_formula_says() -> None:
    """Several steps on some rows, against the formula in float64."""
    rng = np.random.default_rng(5)
    start = rng.standard_normal((4, 3)).astype(np.float32)
    table, expected = RowAdam(start.copy()), start.astype(np.float64)
    mean, square = np.zeros((4, 3)), np.zeros((4, 3))
    for number in range(1, 9):
        rows = np.sort(rng.choice(4, 2, replace=False))
        gradient = rng.standard_normal((2, 3)).astype(np.float32)
        table.step(rows, gradient, 0.05)
        mean[rows] = 0.9 * mean[rows] + 0.1 * gradient
        square[rows] = 0.999 * square[rows] + 0.001 * gradient.astype(np.float64) ** 2
        unbiased = mean[rows] / (1 - 0.9**number), square[rows] / (1 - 0.999**number)
        expected[rows] -= 0.05 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    assert table.rows == pytest.approx(expected, abs=1e-5)
