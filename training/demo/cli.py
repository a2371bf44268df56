"""The verb that shows the whole way on one screen, as the verbs that anybody would type."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from feature_store.cli_options import AsJson, FormatName
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from training.demo.steps import (
    argv,
    invitation,
    known_visitor,
    popular_item,
    prepare,
    write_placements,
)
from training.demo.trial import ask_once


def demo(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="Folder for everything.")] = Path(".demo"),
    log: Annotated[
        Path | None, typer.Option(help="A log of your own; else a shop is simulated.")
    ] = None,
    format_name: FormatName = None,
    shoppers: Annotated[int, typer.Option(min=100, help="Simulated shoppers.")] = 12000,
    days: Annotated[int, typer.Option(min=14, help="Simulated days.")] = 45,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated shop.")] = 0,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the service.")] = 8000,
    once: Annotated[bool, typer.Option(help="Ask one question of each kind, then stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Simulate a shop, train, deliver and serve it with a page to browse: all verbs in a row.

    The service gets placements that are as shipped, but silent after eight ignored lists, so that
    silence can be seen.

    Runs in the foreground until stopped.
    """
    if log is None and format_name is not None:
        raise InvalidInputError(f"--format {format_name} without --log; name the file too")
    console = Console(as_json)
    began = time.monotonic()
    prepare(
        folder,
        (log, format_name),
        ("--shoppers", shoppers, "--days", days, "--seed", seed),
        console,
    )
    visitor = known_visitor(StoreLayout(folder))
    console.say(f"\nReady to serve after {time.monotonic() - began:.0f} s.")
    console.say(invitation(f"http://127.0.0.1:{port}", visitor, popular_item(StoreLayout(folder))))
    command = ["serve", "--root", str(folder), "--dev", "--demo", "--port", str(port)]
    command += ["--placements", str(write_placements(folder))]
    if once:
        console.result(ask_once(command, f"http://127.0.0.1:{port}", visitor, console))
        return
    # The service takes the place of this process: it stays light and stops as it always does.
    os.execv(sys.executable, argv(command))  # noqa: S606 - our own command, no shell
