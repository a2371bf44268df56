"""Conditions on attributes; the shared vectors are in tests/conformance."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.errors import InvalidInputError
from recommender.targeting import (
    LOGICAL,
    OPERATORS,
    PATTERNS,
    check_condition,
    meets,
    padded_version,
)

plain = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4)
values = st.recursive(
    plain, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=2), part)
)


names = st.sampled_from([*OPERATORS, *LOGICAL, "a", "a.b"])
conditions = st.recursive(
    plain,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(names, part, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150)
@given(value=values, condition=st.dictionaries(names, conditions, max_size=3))
def test_whatever_is_compared_gives_an_answer(value: Any, condition: dict[str, Any]) -> None:
    found = meets({"a": value}, condition)
    assert found in (True, False)
    assert meets({"a": value}, {"$not": condition}) != found


@pytest.mark.parametrize(
    "condition",
    [
        [],
        {"$or": {}},
        {"$and": [1]},
        {"$not": "a"},
        {"a": {"$in": "b"}},
        {"a": {"$like": "b"}},
        {"a": {"$elemMatch": {"b": {"$regex": "c"}}}},
        {"$or": [{"a": {"$not": {"$regex": "c"}}}]},
    ],
)
def test_what_is_no_condition_is_refused(condition: object) -> None:
    with pytest.raises(InvalidInputError, match="accepted"):
        check_condition(condition, {*OPERATORS, *LOGICAL} - set(PATTERNS))


def test_a_condition_may_be_used() -> None:
    check_condition(
        {"$or": [{"a": {"$in": [1]}}, {"$not": {"b": 1}}], "c": {"d": 1}}, {*OPERATORS, *LOGICAL}
    )


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
