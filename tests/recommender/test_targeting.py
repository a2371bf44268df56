"""Conditions on attributes; the shared vectors are in tests/conformance."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.targeting import OPERATORS, meets, operators_of, padded_version

plain = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
values = st.recursive(
    plain, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=2), part)
)


@given(value=values, wanted=values, name=st.sampled_from(sorted(OPERATORS)))
def test_whatever_is_compared_gives_an_answer(value: Any, wanted: Any, name: str) -> None:
    if name == "$elemMatch" and not isinstance(wanted, dict):
        wanted = {"a": wanted}
    if name in ("$inGroup", "$notInGroup") and not isinstance(wanted, str):
        wanted = "group"
    condition = {"a": {name: wanted}}
    assert meets({"a": value}, condition) in (True, False)
    assert meets({"a": value}, {"$not": condition}) != meets({"a": value}, condition)


@pytest.mark.parametrize(
    ("value", "wanted", "expected"),
    [(True, 1, False), (1, 1.0, True), ([1, True], [1, True], True), ({"a": 1}, {"a": "1"}, False)],
)
def test_nothing_is_converted_where_equality_is_asked_for(
    value: Any, wanted: Any, expected: bool
) -> None:
    assert meets({"a": value}, {"a": {"$eq": wanted}}) == expected


def test_versions_are_ordered() -> None:
    versions = ["v0.9", "1.0.0-alpha", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0", "1.2.3", "1.10.0"]
    assert sorted(versions, key=padded_version) == versions


def test_all_operators_are_found() -> None:
    condition = {"$or": [{"a": {"$in": [1]}}, {"$not": {"b": {"$like": {"$gt": 1}}}}], "c": 1}
    assert sorted(operators_of(condition)) == ["$gt", "$in", "$like", "$not", "$or"]
