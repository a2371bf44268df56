from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import desirepath
from recommender.errors import InvalidInputError
from tests.training.reports.lists import decision, item, listed
from tests.training.reports.lists import store_of as store_with_answers
from tests.training.reports.shop import many, store_of

LINES = "".join(
    f'{{"event_id":"{n}","event_type":"view_item","ts":"2026-01-01T10:00:{n:02d}Z",'
    f'"visitor_id":"v{n}","items":[{{"item_id":"i"}}]}}\n'
    for n in range(30)
)


def run(*words: object, verb: str = "journeys") -> str:
    done = CliRunner().invoke(
        desirepath.command_line(), ["report", verb, *map(str, words)], catch_exceptions=False
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


@pytest.mark.parametrize("verb", ["expectation", "intrusiveness"])
def test_lists_are_reported_on_from_log_and_tables(tmp_path: Path, verb: str) -> None:
    rows = [each for n in range(30) for each in listed(f"v{n}", f"r{n}", "a", "b")]
    records = [decision(f"r{n}", [item("a", acceptance=0.1)]) for n in range(30)]
    layout = store_with_answers(tmp_path, rows, records)
    figures = json.loads(run("--store", layout.root, "--json", verb=verb))
    assert figures["counts"]["items shown"] == 60
    assert figures == json.loads((layout.root / "reports" / f"{verb}.json").read_bytes())
    assert (layout.root / "reports" / f"{verb}.html").stat().st_size > 10_000


def test_the_tolerance_is_that_of_the_training_file(tmp_path: Path) -> None:
    rows = [each for n in range(30) for each in listed(f"v{n}", f"r{n}", "a")]
    records = [decision(f"r{n}", [item("a", acceptance=0.1)]) for n in range(30)]
    layout, config = store_with_answers(tmp_path, rows, records), tmp_path / "training.toml"
    verdicts = {}
    for tolerance in (0.2, 1.0):
        config.write_text(f"[acceptance]\ntolerance = {tolerance}\n")
        words = ("--store", layout.root, "--config", config, "--json")
        (first, *_) = json.loads(run(*words, verb="expectation"))["gaps"]
        verdicts[tolerance] = first["verdict"]
    # Nothing was taken up: a gap of -100 %, whoever is drawn.
    assert verdicts == {0.2: "promised too much", 1.0: "as promised"}
