from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import desirepath
from recommender.errors import InvalidInputError
from tests.training.reports.shop import many, store_of

LINES = "".join(
    f'{{"event_id":"{n}","event_type":"view_item","ts":"2026-01-01T10:00:{n:02d}Z",'
    f'"visitor_id":"v{n}","items":[{{"item_id":"i"}}]}}\n'
    for n in range(30)
)


def run(*words: object) -> str:
    done = CliRunner().invoke(
        desirepath.command_line(), ["report", "journeys", *map(str, words)], catch_exceptions=False
    )
    assert done.exit_code == 0
    return done.stdout


def test_a_store_is_reported_on_in_its_own_folder(tmp_path: Path) -> None:
    layout = store_of(tmp_path, many("v", 30, "item:a"))
    figures = json.loads(run("--store", layout.root, "--json"))
    assert figures["counts"]["visits"] == 30
    assert figures == json.loads((layout.root / "reports" / "journeys.json").read_bytes())
    assert (layout.root / "reports" / "journeys.html").stat().st_size > 10_000


def test_a_log_is_reported_on_without_a_store(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text(LINES)
    out = tmp_path / "out"
    assert run("--log", log, "--format", "desirepath-jsonl", "--out", out, "--days", 1) == ""
    assert sorted(path.name for path in out.iterdir()) == ["journeys.html", "journeys.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "out"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--log", "a", "--store", "b"), "give --store or --log, not both"),
        (("--format", "rees46"), "without --log"),
    ],
)
def test_options_that_do_not_fit_are_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        run(*words)
