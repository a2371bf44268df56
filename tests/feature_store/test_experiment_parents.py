from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.experiment_change import StoredExperiment, created, revised
from feature_store.experiment_parents import check_parents, circle_of, unusable
from feature_store.experiment_spec import ExperimentSpec
from recommender.errors import ConflictError, InvalidInputError

ARMS = [{"key": "a", "weight": 0.5}, {"key": "b", "weight": 0.5}]


def spec(*parents: str, arm: str = "b", **more: object) -> ExperimentSpec:
    waits = [{"experiment": each, "condition": {"value": arm}} for each in parents]
    raw = {"arms": ARMS, "status": "running", "prerequisites": waits} | more
    return msgspec.convert(raw, ExperimentSpec)


def stored(key: str, *parents: str, arm: str = "b") -> StoredExperiment:
    return created(key, spec(*parents, arm=arm), "me", 1)


def test_parents_must_be_there_with_the_arm() -> None:
    first = stored("first")
    check_parents(stored("second", "first"), [first])
    with pytest.raises(
        InvalidInputError, match="no experiment 'first' to wait for; there are: none"
    ):
        check_parents(stored("second", "first"), [])
    with pytest.raises(InvalidInputError, match="first has no arm 'c'; accepted: a, b"):
        check_parents(stored("second", "first", arm="c"), [first])


def test_nobody_waits_for_itself() -> None:
    with pytest.raises(ConflictError, match="one -> one"):
        check_parents(stored("one", "one"), [])
    others = [stored("two", "three"), stored("three", "one"), stored("four")]
    with pytest.raises(ConflictError, match="wait for one another") as refused:
        check_parents(stored("one", "two"), others)
    circle = f"{refused.value}".split(": ")[1].split(";")[0].split(" -> ")
    waits = {"one": "two", "two": "three", "three": "one"}
    assert [waits[each] for each in circle[:-1]] == circle[1:]
    check_parents(stored("one", "four"), others)


def test_an_interleaving_has_one_more_value() -> None:
    kinds = spec(kind="interleave", arms=[ARMS[0], ARMS[1] | {"bundle": "challenger"}])
    draft = created("draft", kinds, "me", 1)
    check_parents(stored("second", "draft", arm="interleaved"), [draft])


def test_what_it_waits_for_is_frozen() -> None:
    running = stored("second", "first")
    with pytest.raises(ConflictError, match="prerequisites of an experiment that has run"):
        revised(running, spec("first", arm="a"), "me", 2)
    assert revised(running, spec("first", coverage=0.5), "me", 2).current.number == 2


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"arm": "b"}, r"about \['arm'\]; accepted: \['in_experiment', 'value'\]"),
        ({"$or": [{"value": "a"}, {"$not": {"phase": 1}}]}, r"about \['phase'\]"),
        ({"value": {"$regex": "b"}}, "operator"),
    ],
)
def test_a_condition_that_nobody_could_meet_is_refused(
    condition: dict[str, object], message: str
) -> None:
    raw = {"arms": ARMS, "prerequisites": [{"experiment": "first", "condition": condition}]}
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(raw, ExperimentSpec)


NAMES = ["a", "b", "c", "d", "e"]


@given(st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3)))
def test_what_is_left_of_any_folder_leads_somewhere(waits: dict[str, set[str]]) -> None:
    specs = {key: spec(*sorted(parents)) for key, parents in waits.items()}
    while bad := unusable(specs):
        assert bad.keys() <= specs.keys()
        specs = {key: each for key, each in specs.items() if key not in bad}
    assert circle_of(specs) == []
    for each in specs.values():
        assert {parent.experiment for parent in each.prerequisites} <= specs.keys()
