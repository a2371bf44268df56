from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import desirepath
from recommender.errors import InvalidInputError
from tests.training.evaluation.experiment.test_drafts import GOOD, POOR, lists
from tests.training.evaluation.experiment.trial import KEY, trial
from training.registry import Tracking, client_of


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(
        desirepath.command_line(), ["experiment", *map(str, words)], catch_exceptions=False
    )
    return done.exit_code, done.stdout


def test_a_test_is_read_and_kept_in_mlflow(tmp_path: Path) -> None:
    root = trial(tmp_path, shoppers=300, rates=(0.1, 0.7)).root
    code, text = run("read", KEY, "--root", root, "--json")
    assert code == 0
    folder = root / "reports" / f"experiment-{KEY}"
    assert json.loads(text) == json.loads((folder / "reading.json").read_bytes())
    client = client_of(Tracking.in_folder(root))
    experiment = client.get_experiment_by_name("desirepath")
    (found,) = client.search_runs([experiment.experiment_id])
    assert found.data.tags["experiment.key"] == KEY
    assert found.data.metrics["treatment_conversion_effect"] > 0.3
    kept = {each.path for each in client.list_artifacts(found.info.run_id, "experiment")}
    assert {"experiment/reading.md", "experiment/conversion.png"} <= kept


def test_a_refused_reading_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    root = trial(tmp_path, shoppers=300, lost=60).root
    code, text = run("read", KEY, "--root", root, "--json", "--no-record")
    assert code == 1
    assert "sample ratio mismatch" in json.loads(text)["refusal"]
    assert not (root / "mlflow.db").exists()


def test_a_preference_is_read_and_kept_in_mlflow(tmp_path: Path) -> None:
    root = lists(tmp_path, (POOR, GOOD)).root
    (root.parent / "training.toml").write_text(
        "[experiment]\nleast_subjects = 50\ntuned_subjects = 400\n"
    )
    config = ("--config", root.parent / "training.toml")
    code, text = run("preference", KEY, "--root", root, "--json", *config)
    assert code == 0
    path = root / "reports" / f"experiment-{KEY}" / "preference.json"
    found = json.loads(text)
    assert found == json.loads(path.read_bytes())
    client = client_of(Tracking.in_folder(root))
    experiment = client.get_experiment_by_name("desirepath")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.data.metrics["preference"] == pytest.approx(found["preference"]["mean"], abs=1e-5)
    assert kept.data.tags["experiment.verdict"] == "better"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("read", "../x"), "accepted: letters"),
        (("preference", "x", "--outcome", "y"), "accepted: select_item"),
        (("read", "x", "--weight", "a"), "accepted: ARM=NUMBER"),
        (("read", "x", "--weight", "a=b"), "accepted: ARM=NUMBER"),
    ],
)
def test_what_cannot_be_read_is_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        run(*words)
