"""Ranking quality on public protocols, one command each: how good, how long, how much memory.

Run ``python -m benchmarks.quality PROTOCOL --help``. The table goes to standard error, the picture
into ``--out``; with ``--json`` the last line of standard output is one object. The same files and
seeds give the same figures, seconds and memory apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from feature_store.console import Console
from recommender.errors import DesirepathError

# Protocol → module with `add_arguments(parser)` and `run(arguments, console) -> Mapping`. Imported
# only when asked for, so that one protocol does not need the libraries of another.
PROTOCOLS = {
    "sessions": ("benchmarks.sessions.protocol", "beginnings of visits: P@20 and MRR@20"),
    "topn": ("benchmarks.topn.protocol", "user-item lists: Recall@20 and nDCG@20"),
    "retail": ("benchmarks.retail.protocol", "invoices: the next basket at a rolling split"),
    "repeats": ("benchmarks.retail.repeats", "invoices: what is bought again in the next basket"),
}
OUT = Path("benchmarks/out")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one protocol; 0 when it came through, 1 when its input was refused."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality")
    commands = parser.add_subparsers(dest="protocol", required=True, metavar="PROTOCOL")
    for name, (module, summary) in PROTOCOLS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if given[:1] == [name]:
            import_module(module).add_arguments(command)
            _add_output(command)
    arguments = parser.parse_args(given)
    console = Console(as_json=arguments.json)
    try:
        result = import_module(PROTOCOLS[arguments.protocol][0]).run(arguments, console)
    except DesirepathError as error:
        console.say(f"error: {error}")
        return 1
    if arguments.json:
        console.result(result)
    return 0


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, default=OUT, help="folder of the pictures")
    command.add_argument("--json", action="store_true", help="print the result as one JSON line")


if __name__ == "__main__":
    raise SystemExit(main())
