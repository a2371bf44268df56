"""Microseconds of the kernels that an answer is made of, one thread; the exact search beside numpy.

Run ``python -m benchmarks.kernels``; tables go to standard error, one JSON object to standard
output. Calls take turns and their processor time counts: on an idle machine that is the time that
passes, on a busy one the longer call would be interrupted more often. What waits for memory still
feels the neighbours: compare within a run.

*Retrieval*: the n best of a whole catalogue.

- *numpy*: product with all vectors, ``argpartition``, sort: what the ratios refer to;
- *scan*: the same with `recommender.candidates.source.top`: positive scores, ties by index;
- *exact*: `recommender.exact_search`, with all it takes to get the same list.

Catalogues: ``als`` are factors that `implicit` learns in this run from clicks of made-up shoppers,
asked by shoppers folded in; ``als, length 1`` are their directions, where no norm ends the search;
``made up around als`` are vectors near those, for sizes that would take too long to learn.

*Kernels*: each candidate source, folding in, and the ranker, of a delivered bundle or of a shop
that is simulated and learnt from first. The shop of ``--quick`` is too small to learn a ranker.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Before numpy comes in: one thread is what a worker has.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from benchmarks.kernel_parts.catalogues import Catalogue, Learnt, directions, learnt, made_up
from benchmarks.kernel_parts.hot import hot_kernels
from benchmarks.kernel_parts.retrieval import EXACT, Retrieved, retrieve
from benchmarks.kernel_parts.turns import in_turns
from benchmarks.latency_parts.shop import bundle_folder
from feature_store.console import Console
from recommender.bundle import load_bundle

SEED, QUERIES = 0, 100


def catalogues(given: argparse.Namespace, console: Console) -> list[tuple[Catalogue, Learnt]]:
    """What is searched, and the factor model behind it; the largest that is learnt comes last."""
    found = []
    for items in given.items:
        if items <= given.learn_up_to:
            console.say(f"learning {items:,} items x {given.factors}")
            model = learnt(items, given.factors, QUERIES, SEED)
            found.append((model.catalogue(), model))
        elif found:
            found.append((made_up(found[-1][0], items, SEED), found[-1][1]))
    largest = max(
        (each for each in found if each[0].name == "als"), key=lambda e: len(e[0].vectors)
    )
    return [*found, (directions(largest[0]), largest[1])]


def folding(model: Learnt, repeats: int) -> dict[str, Any]:
    """What it takes to fold a shopper in."""
    histories = model.histories
    taken = in_turns(
        {"fold-in": lambda turn: model.source.fold_in(histories[turn % len(histories)])}, repeats
    )
    items, factors = model.source.item_factors.shape
    name = f"fold-in of 10 items, {items:,} x {factors}"
    return {"kernel": name, **asdict(taken["fold-in"])}


def show(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """A table, on standard error."""
    names = list(rows[0])
    table = [names, *(["" if row[n] is None else str(row[n]) for n in names] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(names))]
    for line in table:
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells), file=sys.stderr)
    console.say("")


def result(retrieved: Sequence[Retrieved], kernels: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One object: ratio and recall of each exact search, and all rows."""
    exact = [row for row in retrieved if row.way == EXACT]
    named = {f"{row.catalogue}, {row.items}, top {row.n}": row for row in exact}
    return {
        "exact_vs_numpy": {name: row.ratio for name, row in named.items()},
        "recall": min(row.recall or 0.0 for row in exact),
        "same_lists": min(row.same_lists or 0.0 for row in exact),
        "retrieval": [asdict(row) for row in retrieved],
        "kernels": list(kernels),
        "load_average": os.getloadavg()[0],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 where the exact search is not exact."""
    given = parsed(arguments)
    console = Console()
    retrieved: list[Retrieved] = []
    kernels: list[dict[str, Any]] = []
    for catalogue, model in catalogues(given, console):
        retrieved += retrieve(catalogue, given.lengths, given.repeats)
        if catalogue.name == "als":
            kernels.append(folding(model, given.repeats))
    show([asdict(row) for row in retrieved], console)
    if not given.retrieval_only:
        with tempfile.TemporaryDirectory(prefix="kernels-") as scratch:
            bundle = load_bundle(bundle_folder(_shop(given), Path(scratch), console))
        kernels += hot_kernels(bundle, given.repeats)
    show(kernels, console)
    found = result(retrieved, kernels)
    print(json.dumps(found))
    return 0 if found["recall"] == found["same_lists"] == 1 else 1


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--items", type=_numbers, default=[10_000, 100_000, 1_000_000], help="sizes, by commas")
    add("--learn-up-to", type=int, default=100_000, help="larger catalogues are made up")
    add("--factors", type=int, default=128)
    add("--lengths", type=_numbers, default=[20, 200], help="how many are asked for, by commas")
    add("--repeats", type=int, default=200)
    add("--quick", action="store_true", help="10,000 items and a small shop")
    add("--retrieval-only", action="store_true", help="no shop is learnt for the other kernels")
    add("--bundle", type=Path, help="a bundle whose kernels are measured")
    add("--root", type=Path, help="a folder with a delivered bundle")
    add("--shop-items", type=int, default=2_000)
    add("--shoppers", type=int, default=8_000)
    add("--days", type=int, default=28)
    given = parser.parse_args(arguments)
    if given.quick:
        given.items, given.repeats = [10_000], 60
        given.shop_items, given.shoppers, given.days = 500, 2_000, 14
    return given


def _shop(given: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(given), "items": given.shop_items})


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
