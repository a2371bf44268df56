"""Features of the way so far, and of how the shopper dealt with each candidate on it.

Kernels that `recommender.feature_table` calls, written as those are.
"""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.course import FAR, NEW, REACH, Courses, is_latest, next_shares
from recommender.feature_parts import Way
from recommender.terms import (
    ADD_TO_CART,
    EVENT_CODES,
    PURCHASE,
    VIEW_ITEM,
    Float32Array,
    Int32Array,
)

_FAR = np.float32(99)
_VIEW, _CART, _PURCHASE = (EVENT_CODES[name] for name in (VIEW_ITEM, ADD_TO_CART, PURCHASE))


@kernel
def from_met(table: Float32Array, line: int, way: Way, place: Int32Array) -> int:
    """The ``met`` lines; `place` has the column of each candidate plus one."""
    table[line : line + 3] = _FAR
    table[line + 7 : line + 9] = np.nan
    table[line + 15] = _FAR
    _mark_order(table, line, way, place)
    moment = _moments(way) - 1
    for event in range(way.events.shape[0]):
        if event > 0 and way.ages[event] != way.ages[event - 1]:
            moment -= 1
        column = place[way.events[event]] - 1
        if column >= 0:
            _add_meeting(table[line:, column], way, event, moment)
    for item in way.cart:
        column = place[item] - 1
        if column >= 0:
            table[line + 9, column] = 1
    return line + 17


@kernel
def _mark_order(table: Float32Array, line: int, way: Way, place: Int32Array) -> None:
    for order in range(way.met.shape[0]):
        column = place[way.met[order]] - 1
        if column >= 0:
            table[line, column] = way.lags[order]
            table[line + 1, column] = order


@kernel
def _moments(way: Way) -> int:
    count = 1
    for event in range(1, way.events.shape[0]):
        if way.ages[event] != way.ages[event - 1]:
            count += 1
    return count


@kernel
def _add_meeting(met: Float32Array, way: Way, event: int, moment: int) -> None:
    """Add one event to the ``met`` columns of its candidate; `moment` counts back from the last."""
    if met[3] == 0:
        met[2] = moment
    met[3] += 1
    met[7] = np.log1p(way.ages[event])
    code = way.codes[event]
    if code == _VIEW:
        met[4] += 1
    elif code == _CART:
        met[5] += 1
    elif code == _PURCHASE:
        met[6] += 1
        met[8] = met[7]
    if way.in_visit[event]:
        met[10] += 1
    if event > 0 and way.events[event - 1] == way.met[0] and way.events[event] != way.met[0]:
        met[11] += 1
    met[12] += np.float32(0.9**moment)
    met[13] += np.float32(0.7**moment)
    met[14] = met[3] / (met[2] + 1)
    if met[3] > 1:
        met[16] = met[15] - moment
    met[15] = moment


@kernel
def from_course(
    table: Float32Array, line: int, way: Way, courses: Courses, place: Int32Array
) -> int:
    """The ``course`` lines; `place` has the column of each candidate plus one."""
    if courses.share.shape[0] == 0:
        return line + 3
    end = way.events.shape[0]
    first = end
    while first > 0 and way.in_visit[first - 1]:
        first -= 1
    shares = next_shares(courses, way.events, first)
    table[line], table[line + 1], table[line + 2] = shares[NEW], shares[NEW], shares[0]
    others = 0
    for back in range(end - 1, max(first, end - REACH) - 1, -1):
        if is_latest(way.events, back, end):
            column = place[way.events[back]] - 1
            if column >= 0:
                table[line, column] = shares[min(others, FAR)]
            others += 1
    return line + 3


@kernel
def from_way(table: Float32Array, line: int, way: Way) -> None:
    """The ``way`` lines but the last: the same for all candidates."""
    last = way.events.shape[0] - 1
    item = way.events[last]
    values = np.zeros(15, np.float32)
    repeats = 0
    for event in range(last + 1):
        values[5] += way.events[event] == item
        if event > 0 and way.events[event] == way.events[event - 1]:
            repeats += 1
        if way.in_visit[event]:
            if values[8] == 0:
                values[7] = np.log1p(way.ages[event])
            values[8] += 1
    values[0] = last + 1
    values[1] = way.met.shape[0]
    values[2] = values[0] - values[1]
    values[3] = values[5] > 1
    values[4] = last > 0 and way.events[last - 1] == item
    values[6] = np.log1p(way.ages[last])
    values[9] = way.codes[last]
    values[10] = way.cart.shape[0]
    values[11] = _gap(way, last)
    values[12] = _gap(way, last - 1)
    values[13] = repeats / max(last, 1)
    values[14] = values[2] / values[0]
    for number in range(15):
        table[line + number] = values[number]


@kernel
def _gap(way: Way, event: int) -> int:
    """Events between one and the one before with the same item; 0 where there is none."""
    for before in range(event - 1, -1, -1):
        if way.events[before] == way.events[event]:
            return event - before
    return 0
