from __future__ import annotations

import numpy as np
import pytest

from recommender.bundle_schema import COURSE_KINDS, check_arrays
from recommender.course import BEGIN, FAR, KINDS, NEW, REACH, Courses, kind_of, next_shares
from recommender.errors import BundleError
from tests.rankers import ranked_parts


def kinds(items: list[int], first: int = 0) -> list[int]:
    steps = np.array(items, np.int32)
    return [kind_of(steps, first, step) for step in range(first, len(steps))]


def test_a_kind_counts_the_other_items_since() -> None:
    assert kinds([5, 5, 7, 5, 9, 7, 7]) == [NEW, 0, NEW, 1, NEW, 2, 0]


def test_what_was_met_before_the_visit_is_new_and_so_is_what_is_long_ago() -> None:
    assert kinds([5, 7, 5, 7], first=2) == [NEW, NEW]
    assert kinds([5, *[7] * (REACH - 1), 5])[-1] == 1
    assert kinds([5, *[7] * REACH, 5])[-1] == NEW


def test_far_back_is_one_kind() -> None:
    assert kinds([*range(9), 1, 2])[-2:] == [FAR, FAR]


def tree() -> Courses:
    """Root, after a repetition, and after one with which the visit began."""
    child = np.full((3, KINDS + 1), -1, np.int32)
    child[0, 0], child[1, NEW] = 1, 2
    return Courses(child, np.repeat(np.arange(3, dtype=np.float32), KINDS).reshape(3, KINDS))


def test_the_longest_context_that_is_known_speaks() -> None:
    def node(items: list[int], first: int = 0) -> float:
        return float(next_shares(tree(), np.array(items, np.int32), first)[0])

    assert node([5, 7]) == 0
    assert node([5, 5, 5]) == 1
    assert node([7, 5, 5]) == 2
    assert node([5, 5], first=2) == 0


def test_the_beginning_is_part_of_a_context() -> None:
    child = np.full((2, KINDS + 1), -1, np.int32)
    child[0, BEGIN] = 1
    courses = Courses(child, np.repeat(np.array([[0], [1]], np.float32), KINDS, axis=1))
    assert next_shares(courses, np.array([3], np.int32), 1)[0] == 1
    assert next_shares(courses, np.array([3], np.int32), 0)[0] == 0


def test_the_bundle_knows_as_many_kinds() -> None:
    assert COURSE_KINDS == KINDS


@pytest.mark.parametrize(
    ("child", "share", "message"),
    [
        ((3, KINDS + 1), (2, KINDS), "course_nodes is"),
        ((3, KINDS), (3, KINDS - 1), "3 contexts of 7 kinds; accepted: at least one, 8"),
        ((0, KINDS + 1), (0, KINDS), "0 contexts of 8 kinds"),
        ((3, KINDS + 1), None, "belong together"),
    ],
)
def test_a_bundle_of_another_tree_is_refused(
    child: tuple[int, ...], share: tuple[int, ...] | None, message: str
) -> None:
    arrays, _ = ranked_parts()
    check_arrays(arrays)
    del arrays["course_share"]
    arrays["course_child"] = np.full(child, -1, np.int32)
    if share is not None:
        arrays["course_share"] = np.ones(share, np.float32)
    with pytest.raises(BundleError, match=message):
        check_arrays(arrays)


def test_a_child_outside_the_tree_is_refused() -> None:
    arrays, _ = ranked_parts()
    arrays["course_child"][0, 0] = len(arrays["course_child"])
    with pytest.raises(BundleError, match="course_child: indices outside"):
        check_arrays(arrays)
