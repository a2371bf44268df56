from __future__ import annotations

import typer.main
from typer.testing import CliRunner

import desirepath
from scripts.generate_docs import CLI_PAGE, cli_page, verbs_of

VERBS = {
    *("simulate", "ingest", "check", "train", "evaluate", "promote"),
    *("deliver", "retrain", "serve", "demo", "datasets", "report pace"),
}


def test_the_page_is_what_the_code_says() -> None:
    assert CLI_PAGE.read_text(encoding="utf-8") == cli_page(), "run `make docs`"


def test_every_verb_has_help_for_itself_and_for_each_option() -> None:
    commands = verbs_of(typer.main.get_command(desirepath.command_line()))
    assert commands.keys() >= VERBS
    for name, verb in commands.items():
        assert verb.help, name
        assert [each.name for each in verb.params if each.name != "help" and not each.help] == []
        assert "--json" in {option for each in verb.params for option in each.opts}, name


def test_help_needs_no_heavy_library_and_wrong_usage_ends_with_2() -> None:
    runner = CliRunner()
    assert runner.invoke(desirepath.command_line(), ["--help"]).exit_code == 0
    assert runner.invoke(desirepath.command_line(), ["fly"]).exit_code == 2
    assert runner.invoke(desirepath.command_line(), ["serve", "--port", "home"]).exit_code == 2
