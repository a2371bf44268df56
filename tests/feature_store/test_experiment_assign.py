from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import desirepath
from feature_store.experiment_assign import AssignmentDigest, assigned, read_experiment, read_ids
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
    experiment = read_experiment(tmp_path / "test.json")

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
