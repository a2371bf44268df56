from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from desirepath import command_line

SMALL = ["--shoppers", "80", "--days", "3", "--items", "60", "--seed", "3"]


@pytest.fixture(autouse=True)
def _no_shared_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DESIREPATH_SHARED", raising=False)


def test_the_verb_writes_a_shop_and_says_what_happened(tmp_path: Path) -> None:
    done = CliRunner().invoke(command_line(), ["simulate", "--out", str(tmp_path / "shop"), *SMALL])
    assert done.exit_code == 0, done.output
    assert "purchases_per_view" in done.stderr
    assert done.stdout == ""
    assert (tmp_path / "shop/events.jsonl").stat().st_size > 10_000


def test_with_json_the_result_is_one_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command_line(), ["simulate", "--out", str(tmp_path / "shop"), *SMALL, "--json"]
    )
    result = msgspec.json.decode(done.stdout)
    assert done.stdout.count("\n") == 1
    saved = msgspec.json.decode((tmp_path / "shop/report.json").read_bytes())
    assert {name: result[name] for name in saved} == saved
    assert result["events"] == (tmp_path / "shop/events.jsonl").read_bytes().count(b"\n")
    assert result["start"] == "2026-09-01T00:00:00+00:00"


def test_the_first_day_can_be_chosen(tmp_path: Path) -> None:
    options = ["simulate", "--out", str(tmp_path / "shop"), *SMALL, "--json"]
    done = CliRunner().invoke(command_line(), [*options, "--start", "2026-05-01"])
    assert msgspec.json.decode(done.stdout)["start"] == "2026-05-01T00:00:00+00:00"


@pytest.mark.shared
def test_the_figures_of_real_logs_stand_beside(tmp_path: Path, shared_path: Path) -> None:
    options = ["simulate", "--out", str(tmp_path / "shop"), *SMALL, "--json"]
    done = CliRunner().invoke(command_line(), [*options, "--compare", str(shared_path)])
    beside = msgspec.json.decode(done.stdout)["beside"]
    assert beside["returns"]["real"]["REES46"] == pytest.approx(0.394, abs=0.001)
    assert beside["returns"]["real"]["RR clicks"] == pytest.approx(0.3745, abs=0.001)
    assert "0.394, 0.405" in done.stderr


def test_impossible_sizes_are_a_usage_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command_line(), ["simulate", "--out", str(tmp_path / "shop"), "--items", "3"]
    )
    assert done.exit_code == 2
