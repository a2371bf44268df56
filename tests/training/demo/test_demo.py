from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from feature_store.console import Console
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.errors import DataError
from recommender.placements import DEFAULT_FILE, read_placements
from training.demo.steps import (
    QUICK,
    invitation,
    known_visitor,
    popular_item,
    run,
    write_placements,
)
from training.demo.trial import free_port
from training.spec import TrainingSpec, load_spec

LINES = """\
{"event_id":"1","event_type":"view_item","ts":"2026-01-01T10:00:00Z","visitor_id":"a","items":[{"item_id":"i"}]}
{"event_id":"2","event_type":"purchase","ts":"2026-01-01T11:00:00Z","visitor_id":"b","items":[{"item_id":"i"}]}
{"event_id":"3","event_type":"view_item","ts":"2026-01-01T12:00:00Z","visitor_id":"c","items":[{"item_id":"i"}]}
"""


def test_the_known_visitor_is_who_bought_last(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text(LINES)
    layout = StoreLayout(tmp_path / "store")
    ingest(log, "desirepath-jsonl", layout)
    assert known_visitor(layout) == "b"


def test_without_a_delivered_model_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no delivered model"):
        popular_item(StoreLayout(tmp_path))


def test_the_invitation_survives_a_shell() -> None:
    lines = invitation("http://127.0.0.1:1", "it's me", 'a "b" $c').splitlines()
    curls = [line for line in lines if line.startswith("curl")]
    assert len(curls) == 3
    for line in curls:
        shown = subprocess.run(
            ["sh", "-c", line.replace("curl", "printf '%s\\n'", 1)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        assert json.loads(shown[-1])


def test_a_step_that_fails_ends_the_demonstration(tmp_path: Path) -> None:
    import typer

    with pytest.raises(typer.Exit) as ended:
        run(["ingest", "--log", tmp_path / "none", "--format", "rees46"], Console())
    assert ended.value.exit_code in {1, 2}


@pytest.mark.slow
def test_the_whole_demonstration_on_a_small_shop(tmp_path: Path) -> None:
    sizes = ["--shoppers", "1600", "--days", "22", "--port", str(free_port())]
    done = subprocess.run(
        [sys.executable, "-m", "desirepath", "demo", "--dir", "demo", "--once", "--json", *sizes],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["event"] == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert result["exit_code"] == 0
    assert result["known"]["fallback_level"] == "personalised"
    assert result["stranger"]["fallback_level"] == "popular"
    assert result["stranger_after_a_view"]["fallback_level"] == "session"
    assert result["stranger_after_a_view"]["items"] != result["stranger"]["items"]
    assert (tmp_path / "demo" / "evaluation.json").exists()
    assert (tmp_path / "demo" / "reports" / "journeys.html").exists()
    assert (tmp_path / "demo" / "placements.toml").exists()


def test_the_demonstration_falls_silent_soon_and_is_else_as_shipped(tmp_path: Path) -> None:
    quiet, shipped = read_placements(write_placements(tmp_path)), read_placements(DEFAULT_FILE)
    assert quiet.keys() == shipped.keys()
    for name, placement in quiet.items():
        fatigue = placement.fatigue
        assert (fatigue.when_spent, fatigue.session_budget) == ("empty", 8)
        assert replace(placement, fatigue=shipped[name].fatigue) == shipped[name]


def test_the_quick_training_file_is_the_defaults_with_less_work() -> None:
    quick, usual = load_spec(QUICK), TrainingSpec()
    assert quick.blend.weights == usual.blend.weights
    assert quick.ranker.learn
    assert quick.ranker.max_questions < usual.ranker.max_questions
    assert quick.ranker.rounds < usual.ranker.rounds
    assert quick.evaluation.max_users < usual.evaluation.max_users
    for kept in ("als", "covisitation", "session_knn", "split", "gate"):
        assert getattr(quick, kept) == getattr(usual, kept)
