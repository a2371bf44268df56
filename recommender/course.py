"""The course of a visit: how each step goes back to earlier ones, whatever the items are.

Notation: the *kind* of a step is how many other items were met since its item was met last: 0 the
same again, 1 the one before it, up to `FAR` for that many and more; `NEW` where it was not met in
the latest `REACH` steps of the visit. A *context* is the kinds of the latest steps, newest first;
`BEGIN` stands before the first step of a visit. Contexts are a tree: from the root, which knows
nothing, to a child by the kind of the last step, from there by that of the step before, and so on.

People differ little in how they go back and forth; so it is learnt from all visits
(`training.models.courses`), and tells whether the next step leads back, and how far.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from recommender.bundle_schema import COURSE_KINDS
from recommender.compiled import kernel
from recommender.terms import Float32Array, Int32Array

FAR: Final = 6
NEW: Final = 7
BEGIN: Final = 8
KINDS: Final = COURSE_KINDS
DEPTH: Final = 8
REACH: Final = 30


class Courses(NamedTuple):
    """The tree of contexts.

    Parameters
    ----------
    child
        Node by the kind of one step further back, -1 where there is none, int32 (nodes, KINDS + 1).
    share
        How often the next step is of each kind, float32 (nodes, KINDS); no nodes: nothing is known.
    """

    child: Int32Array
    share: Float32Array


@kernel
def kind_of(items: Int32Array, first: int, step: int) -> int:
    """Kind of one step of the visit that begins at `first`."""
    others = 0
    for back in range(step - 1, max(first, step - REACH) - 1, -1):
        if items[back] == items[step]:
            return min(others, FAR)
        others += is_latest(items, back, step)
    return NEW


@kernel
def is_latest(items: Int32Array, step: int, end: int) -> bool:
    """No step between this one and `end` has its item."""
    found = True
    for later in range(step + 1, end):
        found &= items[later] != items[step]
    return found


@kernel
def next_shares(courses: Courses, items: Int32Array, first: int) -> Float32Array:
    """How likely the next step is of each kind, float32 (KINDS,).

    Parameters
    ----------
    items
        Item of each step, oldest first, int32 (n,); the visit begins at `first`.
    """
    node = 0
    # From the last step back to the one that is before the first.
    for back in range(min(DEPTH, len(items) - first + 1)):
        step = len(items) - 1 - back
        child = courses.child[node, kind_of(items, first, step) if step >= first else BEGIN]
        if child < 0:
            break
        node = child
    shares: Float32Array = courses.share[node]
    return shares
