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
