"""The steps of the demonstration: other verbs, each printed before it runs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from feature_store.atomic_file import write_atomic
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.bundle import load_bundle
from recommender.bundle_folder import current
from recommender.errors import DataError
from recommender.placements import DEFAULT_FILE
from recommender.terms import EVENT_TYPE, PURCHASE, TS, VISITOR_ID

STRANGER = "a-stranger"
# A training file that is done within minutes.
QUICK = Path(__file__).with_name("training.toml")
QUIET = {
    'when_spent = "default"': 'when_spent = "empty"',
    "session_budget = 20": "session_budget = 8",
}


def prepare(
    folder: Path,
    own_log: tuple[Path | None, str | None],
    sizes: tuple[object, ...],
    console: Console,
) -> None:
    """Run the verbs up to a delivered model.

    Parameters
    ----------
    own_log
        Path and format of the user's own log, None: as it looks; (None, None) simulates a shop.
    sizes
        Options of `simulate`.
    """
    log, source_format = own_log
    more: list[object] = ["--format", source_format] if source_format else []
    if log is None:
        simulated = folder / "simulated"
        if not (simulated / "report.json").exists():
            run(["simulate", "--out", simulated, *sizes], console)
        log = simulated / "events.jsonl"
        more = ["--format", "desirepath-jsonl", "--catalogue", simulated / "catalogue.jsonl"]
    run(["ingest", "--log", log, "--store", folder, *more], console)
    run(["report", "journeys", "--store", folder], console)
    run(["train", "--out", folder, "--config", QUICK], console)
    run(["materialise", "--store", folder], console)


def write_placements(folder: Path) -> Path:
    """The shipped placements, but quiet sooner: nothing after a few ignored lists, to be seen."""
    text = DEFAULT_FILE.read_text("utf-8")
    for shipped, quiet in QUIET.items():
        if text.count(f"\n{shipped}\n") != 1:
            raise DataError(f"{DEFAULT_FILE} has no single line {shipped}")
        text = text.replace(f"\n{shipped}\n", f"\n{quiet}\n")
    path = folder / "placements.toml"
    write_atomic(path, text.encode())
    return path


def known_visitor(layout: StoreLayout) -> str:
    """The visitor who bought last, or was seen last where nobody bought. Raises `DataError`."""
    import polars as pl

    from feature_store.tables import read_interactions

    order = [pl.col(EVENT_TYPE) == PURCHASE, TS, VISITOR_ID]
    rows = read_interactions(layout).sort(order).select(pl.col(VISITOR_ID).last()).collect()
    if rows.is_empty() or rows.item() is None:
        raise DataError(f"{layout.tables} holds no interactions")
    return str(rows.item())


def popular_item(layout: StoreLayout) -> str:
    """The most popular item of the delivered model. Raises `BundleError`."""
    folder = current(layout.bundles)
    if folder is None:
        raise DataError(f"{layout.bundles} holds no delivered model")
    catalogue = load_bundle(folder).catalogue
    return catalogue.ids.id(int(catalogue.popular_order[0]))


def stranger_views(item_id: str) -> dict[str, object]:
    """The event of a stranger who looks at an item."""
    return {
        "event_id": "first-look",
        "event_type": "view_item",
        "visitor_id": STRANGER,
        "items": [{"item_id": item_id}],
    }


def invitation(url: str, visitor: str, item_id: str) -> str:
    """Addresses, and three lines to try."""
    asked = {"placement": "home", "visitor_id": visitor, "limit": 3}
    bodies = (
        ("recommendations", asked),
        ("events", stranger_views(item_id)),
        ("recommendations", asked | {"visitor_id": STRANGER}),
    )
    lines = (
        f"curl -s {url}/v1/{path} -H 'Content-Type: application/json' "
        f"-d {shlex.quote(json.dumps(body))}"
        for path, body in bodies
    )
    return "\n".join(
        (
            f"  browse       {url}/demo",
            f"  as a shopper {url}/demo?visitor={visitor}",
            f"  API          {url}/openapi.json",
            "",
            *lines,
            "",
        )
    )


def argv(words: Sequence[str]) -> list[str]:
    """Arguments that start this program again with these words."""
    return [sys.executable, "-m", "desirepath", *words]


def run(words: Sequence[object], console: Console) -> None:
    """Run one verb and show it. Raises `typer.Exit` with its exit code where that is not 0."""
    arguments = [str(word) for word in words]
    console.say(f"\n$ desirepath {shlex.join(arguments)}")
    code = subprocess.run(argv(arguments), check=False).returncode
    if code:
        raise typer.Exit(code)
