from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.errors import BundleError
from recommender.ids import IdMap, StringArray

texts = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=40)


@given(st.lists(texts, unique=True, max_size=60), texts)
def test_every_id_is_found_at_its_index_and_no_other_is(ids: list[str], other: str) -> None:
    id_map = IdMap.from_ids(ids)
    id_map.check("ids")
    assert [id_map.index(each) for each in ids] == list(range(len(ids)))
    assert [id_map.id(i) for i in range(len(ids))] == ids
    if other not in ids:
        assert id_map.index(other) is None
        assert id_map.index(other, missing=7) == 7


def test_ids_stay_byte_exact() -> None:
    ids = ["a", "a\0", "a ", "A", "é", "e\u0301", "\u202eb", "\U0001d4b3", "/", "\n"]
    id_map = IdMap.from_ids(ids)
    assert [id_map.index(each) for each in ids] == list(range(len(ids)))


def test_a_lone_surrogate_is_simply_unknown() -> None:
    assert IdMap.from_ids(["a"]).index("\ud800") is None


def test_unknown_ids_are_left_out_of_indices() -> None:
    assert IdMap.from_ids(["a", "b"]).indices(["b", "x", "a", "b"]) == [1, 0, 1]


def test_a_repeated_id_is_refused() -> None:
    with pytest.raises(ValueError, match="'a' occurs twice"):
        IdMap.from_ids(["a", "b", "a"])


def test_an_index_outside_raises() -> None:
    with pytest.raises(IndexError, match=r"0\.\.1"):
        IdMap.from_ids(["a", "b"]).id(2)
    with pytest.raises(IndexError):
        IdMap.from_ids(["a", "b"]).id(-1)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [([0, 2, 1, 3], "ascending"), ([1, 2, 3], "span"), ([0, 2], "span"), ([], "span")],
)
def test_broken_offsets_are_refused(offsets: list[int], message: str) -> None:
    strings = StringArray(np.frombuffer(b"abc", np.uint8), np.array(offsets, np.int64))
    with pytest.raises(BundleError, match=message):
        strings.check("title")


def test_strings_that_are_not_utf8_are_refused() -> None:
    strings = StringArray(np.array([0xFF], np.uint8), np.array([0, 1], np.int64))
    with pytest.raises(BundleError, match="UTF-8"):
        strings.check("title")


@given(st.lists(texts, min_size=1, max_size=20, unique=True), st.data())
def test_a_wrong_slot_is_refused(ids: list[str], data: st.DataObject) -> None:
    id_map = IdMap.from_ids(ids)
    slots = id_map.slots.copy()
    slots[data.draw(st.sampled_from(np.flatnonzero(slots >= 0).tolist()))] = -1
    with pytest.raises(BundleError):
        IdMap(id_map.ids, slots).check("ids")
