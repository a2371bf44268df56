"""The retail protocol: a log of invoices, and the next basket of everybody at several cuts."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from feature_store.console import Console
from feature_store.cores import usable_cores
from recommender.errors import InvalidInputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this protocol."""
    parser.add_argument("--log", type=Path, required=True, help="file of invoices")
    parser.add_argument("--format", default="online-retail", help="name of a loader")
    parser.add_argument("--folds", type=int, default=4, help="cuts, 28 days apart")
    parser.add_argument("--processes", type=int, default=usable_cores(), help="cuts at a time")


def run(arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """Measure a log; the table goes to standard error, the picture and the JSON to a folder.

    Raises
    ------
    DataError
        The log is too short for so many cuts.
    InvalidInputError
        So many processes cannot be.
    RefusedError
        The log is refused.
    """
    # Before numpy comes in: `implicit` wants one BLAS thread, it parallelises over users itself.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from benchmarks.retail.measure import PRODUCT, measure
    from benchmarks.retail.plot import draw
    from benchmarks.retail.table import table

    if arguments.processes < 1:
        raise InvalidInputError(f"processes={arguments.processes}; accepted: 1 or more")
    found = measure(arguments.log, arguments.format, arguments.folds, console, arguments.processes)
    for line in table(found, PRODUCT):
        console.say(line)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "retail.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    draw(found, arguments.out / "retail.png")
    console.say(f"picture: {arguments.out / 'retail.png'}")
    return found
