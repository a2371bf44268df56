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
            _add_common(command)
            import_module(module).add_arguments(command)
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


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--train", type=Path, required=True, help="what may be learnt from")
    command.add_argument("--test", type=Path, required=True, help="what is asked; never tuned on")
    command.add_argument("--out", type=Path, default=OUT, help="folder of the pictures")
    command.add_argument("--json", action="store_true", help="print the result as one JSON line")


if __name__ == "__main__":
    raise SystemExit(main())
