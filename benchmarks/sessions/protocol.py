"""The session protocol: past visits to learn from, beginnings of later ones to continue.

Everything is chosen inside the training file: its last tenth teaches source weights and trees.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass

from benchmarks.two_files import add_files
from feature_store.console import Console
from training.stages import Stages


@dataclass(frozen=True, slots=True)
class Row:
    """One model's line; shares in percent."""

    hit_20: float
    mrr_20: float
    hit_10: float
    ndcg_20: float
    us_per_query: float

    def as_result(self) -> dict[str, float]:
        """What JSON and table show."""
        return {
            "p@20": round(self.hit_20, 2),
            "mrr@20": round(self.mrr_20, 2),
            "p@10": round(self.hit_10, 2),
            "ndcg@20": round(self.ndcg_20, 2),
            "us_per_query": round(self.us_per_query, 1),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this protocol."""
    add_files(parser)
    parser.add_argument(
        "--questions", type=int, default=50_000, help="moments that the ranker learns from"
    )


def run(arguments: argparse.Namespace, console: Console) -> dict[str, object]:
    """Learn, ask every model, and draw the picture.

    Raises
    ------
    DataError
        A file is not of this form or holds nothing.
    """
    # Before numpy comes in: `implicit` wants one BLAS thread, it parallelises over users itself.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from benchmarks.sessions.measure import measure
    from benchmarks.sessions.plot import draw

    found = measure(arguments, Stages(console.say))
    shown = {name: row.as_result() for name, row in found.rows.items()}
    console.table(found.title, [{"model": name} | row for name, row in shown.items()])
    console.table("Behind them", [{"model": name} | facts for name, facts in found.facts.items()])
    console.say(f"picture: {draw(found.rows, arguments.out, found.title)}")
    whole = {name: row | found.facts.get(name, {}) for name, row in shown.items()}
    return dict(whole.pop("ranker")) | whole
