from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

import desirepath
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from tests.training.evaluation.experiment.trial import FIRST, KEY, NAMES, answer, store_of
from training.experiment_table import write_assignments


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    records = [answer(n, f"v{n}", ("control", "treatment")[n % 2], n) for n in range(20)]
    return store_of(tmp_path, [], records)


def test_both_kinds_of_file_say_the_same(layout: StoreLayout, tmp_path: Path) -> None:
    paths = tmp_path / "a.parquet", tmp_path / "a.ndjson"
    assert [write_assignments(layout, KEY, path) for path in paths] == [20, 20]
    table = pl.read_parquet(paths[0])
    assert table.columns == ["timestamp", "experiment_id", "variation_id", "subject_id"]
    first = datetime.fromtimestamp(FIRST / 1e6, UTC)
    assert table.row(0) == (first, KEY, "control", NAMES.of("visitor", "v0"))
    lines = [json.loads(line) for line in paths[1].read_text().splitlines()]
    assert [line["subject_id"] for line in lines] == table["subject_id"].to_list()
    assert datetime.fromisoformat(lines[0]["timestamp"]) == first


def test_a_test_without_answers_is_an_empty_table(layout: StoreLayout, tmp_path: Path) -> None:
    assert write_assignments(layout, "other", tmp_path / "a.parquet") == 0
    assert pl.read_parquet(tmp_path / "a.parquet").columns[0] == "timestamp"


def test_another_kind_of_file_is_refused(layout: StoreLayout, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"accepted: names that end in \.parquet"):
        write_assignments(layout, KEY, tmp_path / "a.csv")


@pytest.mark.parametrize("verb", ["health", "export"])
def test_the_verbs(layout: StoreLayout, tmp_path: Path, verb: str) -> None:
    more = ["--to", str(tmp_path / "a.ndjson")] if verb == "export" else []
    words = ["experiment", verb, KEY, "--root", str(layout.root), "--json", *more]
    done = CliRunner().invoke(desirepath.command_line(), words, catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["experiment"] == KEY
