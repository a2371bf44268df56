"""Write the generated parts of the documentation: the command line, tables on the service.

`make docs` writes them; a test checks that they agree with the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import desirepath
from scripts.serving_docs import write_pages

ROOT = Path(__file__).resolve().parent.parent
CLI_PAGE = ROOT / "docs" / "cli.md"
HEAD = """# Command line

<!-- Generated from the code by `make docs`; do not edit. -->

One command, `desirepath`, with a verb for each step. People read stderr; with `--json` the result
is one JSON object on a line of stdout. Exit codes: 0 done, 1 refused (a failed check, gate or
delivery, or damaged data), 2 not acceptable usage or input; `retrain` has two more.
"""


def cli_page() -> str:
    """The reference as Markdown."""
    return "\n".join([HEAD, *(_verb(name, verb) for name, verb in sorted(all_verbs().items()))])


def all_verbs() -> dict[str, Any]:
    """Every verb by the words that call it: `train`, `report journeys`."""
    return dict(_verbs(typer.main.get_command(desirepath.command_line()), ""))


def _verbs(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _verbs(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _verb(name: str, verb: Any) -> str:
    options = [each for each in verb.params if each.name != "help"]
    rows = [f"| {_names(each)} | {_default(each)} | {each.help or ''} |" for each in options]
    table = ["| option | default | meaning |", "|---|---|---|", *rows]
    text = "\n".join(line.strip() for line in (verb.help or "").splitlines())
    return "\n".join([f"## desirepath {name}", "", text.strip(), "", *table, ""])


def _names(option: Any) -> str:
    required = " (required)" if option.required else ""
    if option.param_type_name == "argument":
        return f"`{option.metavar}`{required}"
    return " ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts)) + required


def _default(option: Any) -> str:
    value = option.default
    if value is None or value is False or option.required or callable(value):
        return ""
    path = Path(str(value))
    # A file that ships with the product lies elsewhere on every machine.
    return f"`{path.name}` of the release" if path.is_absolute() else f"`{value}`"


def main() -> None:
    """Write the pages."""
    CLI_PAGE.write_text(cli_page(), encoding="utf-8")
    write_pages()


if __name__ == "__main__":
    main()
