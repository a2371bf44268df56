from __future__ import annotations

import json

import pytest

from feature_store.console import Console


def test_a_command_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Console().say("curl " + "x" * 500 + " [bold]")
    assert capsys.readouterr().err == "curl " + "x" * 500 + " [bold]\n"


def test_the_result_is_one_json_line_on_stdout_for_machines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console(as_json=True).result({"a": 1, "b": {"c": [1.5]}})
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"a": 1, "b": {"c": [1.5]}}
    assert shown.err == ""


def test_people_read_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.result({"share": 0.123456})
    console.table("Rows", [{"name": "x", "parts": {"a": 0.5}}])
    with console.progress("work", 3) as bar:
        bar.advance(2)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "0.1235" in shown.err
    assert "a 0.5" in shown.err


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table("Nothing", [])
    assert capsys.readouterr().err == "Nothing: none\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ["-"]),
        ((), ["none"]),
        ({}, ["none"]),
        (["a", 0.25], ["a, 0.25"]),
        ({"a": 1, "b": None}, ["a 1, b -"]),
        ({"why": "one\ntwo", "all": {"a": 1}}, ["why one", "two", "all a 1"]),
        ({"mean": 0.25, "low": -0.5, "high": 1.0}, ["0.25 [-0.5, 1]"]),
        (
            {"als": {"mean": 0.1, "low": 0.0, "high": 0.2}, "trend": {"mean": 1.0}},
            ["als 0.1 [0, 0.2]", "trend mean 1"],
        ),
        (
            {"als": {"recall": {"50": {"low": 0.5}, "100": {"low": 0.75}}}, "all": {"a": 1}},
            ["als recall 50 low 0.5", "als recall 100 low 0.75", "all a 1"],
        ),
    ],
)
def test_a_cell_is_written_for_people(
    value: object, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Console().result({"found": value})
    rows = [line.split("│") for line in capsys.readouterr().err.splitlines() if "│" in line]
    assert [cells[2].strip() for cells in rows] == shown
    assert [cells[1].strip() for cells in rows] == ["found", *[""] * (len(shown) - 1)]
