from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import desirepath
from feature_store.experiment_assign import (
    AssignmentDigest,
    assigned,
    read_experiment,
    read_ids,
    read_with_parents,
)
from recommender.errors import ConfigError, DataError

SPEC = {"status": "running", "arms": [{"key": "a", "weight": 0.5}, {"key": "b", "weight": 0.5}]}


def test_the_verb_prints_counts_and_a_digest(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps(SPEC | {"coverage": 0.5}))
    (tmp_path / "ids").write_bytes("a\n a\nä\r\n\nlast".encode())
    options = ["--file", str(tmp_path / "test.json"), "--ids", str(tmp_path / "ids")]
    verb = ["experiment", "assign", "--json", "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(desirepath.command_line(), verb)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["experiment"], told["subjects"], told["phase"]) == ("test", 5, 0)
    assert sum(told["arms"].values()) + sum(told["outside"].values()) == 5
    assert told["outside"]["no_subject"] == 1
    lines = (tmp_path / "out").read_bytes().decode().split("\n")
    assert [line.split("\t")[2] for line in lines[:-1]] == ["a", " a", "ä\r", "", "last"]


def test_the_digest_tells_order_ids_and_arms_apart(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps(SPEC))
    experiment = read_with_parents(tmp_path / "test.json")

    def digest(*ids: str) -> str:
        result = AssignmentDigest()
        for subject_id, found in assigned(experiment, ids):
            result.add(subject_id, found.variant, found.reason, takes_part=found.in_experiment)
        return result.hexdigest

    assert digest("a", "b") == digest("a", "b")
    assert len({digest("a", "b"), digest("b", "a"), digest("ab"), digest("a", "B")}) == 4


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"revisions": []}', '{"arms": [], "x": 1}'])
def test_a_file_that_is_no_experiment_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "test.json").write_text(text)
    with pytest.raises(ConfigError, match=r"test\.json"):
        read_experiment(tmp_path / "test.json")


def test_ids_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(b"\xff")
    with pytest.raises(DataError, match="ids"):
        read_ids(tmp_path / "ids")
    with pytest.raises(DataError, match="none"):
        read_ids(tmp_path / "none")


def test_an_experiment_is_assigned_with_those_that_it_waits_for(tmp_path: Path) -> None:
    waits = {"prerequisites": [{"experiment": "first", "condition": {"value": "b"}}]}
    (tmp_path / "first.json").write_text(json.dumps(SPEC))
    (tmp_path / "second.json").write_text(json.dumps(SPEC | waits))
    ids = [f"v{number}" for number in range(400)]
    first, second = (
        dict(assigned(read_with_parents(tmp_path / f"{name}.json"), ids))
        for name in ("first", "second")
    )
    for each in ids:
        takes_part = first[each].variant == "b"
        assert second[each].in_experiment == takes_part
        assert second[each].reason == ("assigned" if takes_part else "prerequisite")
    assert {each.variant for each in second.values() if each.in_experiment} == {"a", "b"}


def test_files_that_wait_for_one_another_are_refused(tmp_path: Path) -> None:
    for name, other in (("first", "second"), ("second", "first")):
        waits = {"prerequisites": [{"experiment": other, "condition": {"value": "b"}}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(SPEC | waits))
    with pytest.raises(ConfigError, match="first -> second -> first"):
        read_with_parents(tmp_path / "first.json")
    (tmp_path / "second.json").unlink()
    with pytest.raises(ConfigError, match=r"second\.json"):
        read_with_parents(tmp_path / "first.json")
