"""The top-n protocol: lists of a user's items to learn from, lists to be guessed.

What is ours (the linear model, the factor model, the mix of both) has its settings chosen inside
the training file; the three it is held against are taken as they come.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.two_files import add_files
from feature_store.console import Console
from training.stages import Stages

SEED = 42


@dataclass(frozen=True, slots=True)
class Row:
    """One model's line."""

    recall: Mapping[int, float]
    ndcg: Mapping[int, float]
    fit_seconds: float
    peak_mib: float

    def as_result(self) -> dict[str, float]:
        """What JSON and table show."""
        return {
            "recall@20": round(self.recall[20], 5),
            "ndcg@20": round(self.ndcg[20], 5),
            "fit_seconds": round(self.fit_seconds, 2),
            "peak_mib": round(self.peak_mib, 1),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this protocol."""
    add_files(parser)
    parser.add_argument(
        "--validation-users",
        type=_positive,
        default=5_000,
        help="users that settings are judged by",
    )
    parser.add_argument("--seed", type=int, default=SEED, help="of all that is drawn")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text}; accepted: a whole number from 1")
    return number


def run(arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """Measure every model and draw the picture.

    Raises
    ------
    DataError
        A file is not of this form or holds nothing.
    """
    # Before numpy comes in: `implicit` wants one BLAS thread, it parallelises over users itself.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from benchmarks.topn.measure import Bench
    from benchmarks.topn.plot import draw

    bench = Bench.read(arguments, Stages(console.say), console.say)
    rows = bench.rows()
    shown = {name: row.as_result() for name, row in rows.items()}
    console.table(bench.title, [{"model": name} | row for name, row in shown.items()])
    console.say(f"picture: {draw(rows, arguments.out, bench.title)}")
    return dict(shown["mix"]) | bench.facts() | {n: shown[n] for n in shown if n != "mix"}
