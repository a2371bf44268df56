"""Write the generated parts of the documentation: the command line, tables on the service.

`make docs` writes them; a test checks that they agree with the code.
"""

from __future__ import annotations

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
    group: Any = typer.main.get_command(desirepath.command_line())
    return "\n".join([HEAD, *(_verb(name, verb) for name, verb in sorted(verbs_of(group).items()))])


def verbs_of(group: Any) -> dict[str, Any]:
    """Verbs by name; those of a group within the group after its name."""
    found = {}
    for name, verb in group.commands.items():
        if hasattr(verb, "commands"):
            found |= {f"{name} {inner}": each for inner, each in verbs_of(verb).items()}
        else:
            found[name] = verb
    return found


def _verb(name: str, verb: Any) -> str:
    options = [each for each in verb.params if each.name != "help"]
    rows = [f"| {_names(each)} | {_default(each)} | {each.help or ''} |" for each in options]
    table = ["| option | default | meaning |", "|---|---|---|", *rows]
    text = "\n".join(line.strip() for line in (verb.help or "").splitlines())
    return "\n".join([f"## desirepath {name}", "", text.strip(), "", *table, ""])


def _names(option: Any) -> str:
    required = " (required)" if option.required else ""
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
