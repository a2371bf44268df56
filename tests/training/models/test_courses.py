from __future__ import annotations

import numpy as np
import pytest

from recommender.course import KINDS, NEW, Courses, next_shares
from recommender.terms import DISMISS, VIEW_ITEM
from tests.training.known import WEIGHTS, Row, known
from training.models.courses import learn_courses

MINUTE = 1 / 1_440


def courses_of(*visits: list[int]) -> Courses | None:
    rows: list[Row] = [
        (shopper, item, VIEW_ITEM, 1 + step * MINUTE)
        for shopper, visit in enumerate(visits)
        for step, item in enumerate(visit)
    ]
    return learn_courses(known(rows, 99), WEIGHTS)


def after(courses: Courses | None, *items: int) -> np.ndarray:
    assert courses is not None
    return next_shares(courses, np.array(items, np.int32), 0)


def test_shares_are_counted_and_shrunk_towards_the_shorter_context() -> None:
    # After one item 30 visits see it again, 10 see another one; nobody goes on.
    found = courses_of(*[[1, 1]] * 30, *[[1, 2]] * 10)
    root = (np.array([30, *[0] * 6, 10]) + 20 / KINDS) / 60
    first = (np.array([30, *[0] * 6, 10]) + 20 * root) / 60
    begun = (np.array([30, *[0] * 6, 10]) + 20 * first) / 60
    assert found is not None
    assert found.share[0] == pytest.approx(root)
    assert after(found, 7) == pytest.approx(begun)
    assert found.child.shape == (3, KINDS + 1)


def test_who_goes_to_and_fro_will_go_back() -> None:
    found = courses_of(*[[3, 4, 3, 4, 3]] * 40, *[[5, 6, 7, 8, 9]] * 40)
    assert after(found, 1, 2, 1)[1] > 0.8
    assert after(found, 1, 2, 8)[NEW] > 0.8
    assert after(found, 2)[0] < 0.1
    assert found is not None
    assert found.share.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert (found.child.max(axis=1) < len(found.child)).all()


def test_a_rare_context_is_left_to_the_shorter_one() -> None:
    common = [[1, 2, 3]] * 40
    found, rare = courses_of(*common), courses_of(*common, *[[1, 1, 2]] * 19)
    assert found is not None
    assert rare is not None
    assert rare.child[0, 0] < 0
    assert (after(rare, 1, 1) == rare.share[0]).all()


def test_what_says_nothing_of_interest_is_no_step() -> None:
    rows: list[Row] = [(0, 1, VIEW_ITEM, 1), (0, 2, DISMISS, 1 + MINUTE)]
    assert learn_courses(known(rows, 3), WEIGHTS) is None
    assert learn_courses(known([], 3), WEIGHTS) is None
