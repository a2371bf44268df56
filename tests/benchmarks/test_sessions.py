from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import benchmarks.sessions.measure
from benchmarks.quality import main
from benchmarks.sessions.measure import session_spec
from benchmarks.sessions.window import CLICK, LENGTH, START, read_questions, read_window
from recommender.errors import DataError
from training.sections import EncoderSpec
from training.spec import TrainingSpec

ITEMS, SESSIONS = 40, 400
MEASURED = {"fit_seconds", "us_per_query", "peak_mib"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Visits that walk up the items by one or two, from anywhere, and sometimes step back."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("sessions")
    walks = [
        (int(rng.integers(ITEMS)) + np.cumsum(rng.choice([1, 1, 2, -1], 5))) % ITEMS
        for _ in range(SESSIONS)
    ]
    rows = [(s, p, int(i)) for s, walk in enumerate(walks[:-60]) for p, i in enumerate(walk)]
    train = pl.DataFrame(rows, schema=["session_id", "position", "item_id"], orient="row")
    train.sample(fraction=1, shuffle=True, seed=1).write_parquet(folder / "train.parquet")
    asked = [(n, [int(i) for i in walk[:-1]], int(walk[-1])) for n, walk in enumerate(walks[-60:])]
    test = pl.DataFrame(asked, schema=["query_id", "prefix", "target"], orient="row")
    test.write_parquet(folder / "test.parquet")
    return folder / "train.parquet", folder / "test.parquet"


@pytest.fixture(autouse=True)
def quick_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk along 40 items needs no more than this."""

    def small(questions: int) -> TrainingSpec:
        return replace(
            session_spec(questions), encoder=EncoderSpec(factors=8, epochs=1, min_steps=30)
        )

    monkeypatch.setattr(benchmarks.sessions.measure, "session_spec", small)


def run(
    files: tuple[Path, Path], out: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, object]:
    train, test = map(str, files)
    assert main(["sessions", "--train", train, "--test", test, "--out", str(out), "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def without_costs(result: dict[str, object]) -> dict[str, object]:
    return {
        name: without_costs(value) if isinstance(value, dict) else value
        for name, value in result.items()
        if name not in MEASURED
    }


@pytest.mark.slow
def test_the_same_files_give_the_same_figures(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = run(files, tmp_path / "one", capsys)
    keys = {"p@20", "mrr@20", "p@10", "ndcg@20", "candidate_recall@200", *MEASURED}
    assert keys <= one.keys()
    for model in ("popularity", "session_knn"):
        alone: dict[str, float] = one[model]  # type: ignore[assignment]
        assert keys <= alone.keys()
        assert alone["fit_seconds"] < one["fit_seconds"]  # type: ignore[operator]
    assert {"p@20", "mrr@20"} <= one["blend"].keys()  # type: ignore[attr-defined]
    assert one["mrr@20"] > 2 * one["popularity"]["mrr@20"]  # type: ignore[index,operator]
    assert one["candidate_recall@200"] == 1
    assert (tmp_path / "one" / "sessions.png").stat().st_size > 1_000
    two = run(files, tmp_path / "two", capsys)
    assert without_costs(one) == without_costs(two)


def test_the_training_file_becomes_a_window_in_which_every_session_has_its_time(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    window = read_window(files[0], tmp_path)
    events = window.scan().collect()
    assert window.counts == {"read": (SESSIONS - 60) * 5, "kept": len(events)}
    assert window.period.start == START
    assert events["ts"].is_sorted()
    assert (events["ts"].diff().drop_nulls() >= CLICK).all()
    assert events["ts"].is_between(window.period.start, window.period.end - 1).all()
    assert window.period.length == LENGTH
    assert sorted(window.item_ids) == list(window.item_ids)
    assert events["session"].n_unique() == SESSIONS - 60 == len(window.shopper_ids)


def test_questions_are_asked_after_everything_that_was_learnt(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    window = read_window(files[0], tmp_path)
    asked = read_questions(files[1], window.period.end, 20, "next")
    assert len(asked.queries) == len(asked.targets) == 60
    for query in asked.queries:
        moments = [each.ts for each in query.session]
        assert moments == sorted(set(moments))
        assert window.period.end > moments[-1] >= window.period.end - 5 * CLICK
        assert not query.history


@pytest.mark.parametrize("column", ["session_id", "position", "item_id"])
def test_a_file_of_another_form_is_refused(
    files: tuple[Path, Path], tmp_path: Path, column: str
) -> None:
    pl.read_parquet(files[0]).drop(column).write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match="accepted: Parquet with session_id, position, item_id"):
        read_window(tmp_path / "bad.parquet", tmp_path)


def test_files_that_hold_nothing_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    pl.read_parquet(files[0]).clear().write_parquet(tmp_path / "train.parquet")
    pl.read_parquet(files[1]).clear().write_parquet(tmp_path / "test.parquet")
    with pytest.raises(DataError, match="holds no clicks"):
        read_window(tmp_path / "train.parquet", tmp_path)
    with pytest.raises(DataError, match="holds no questions"):
        read_questions(tmp_path / "test.parquet", START, 20, "next")
