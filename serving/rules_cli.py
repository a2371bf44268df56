"""Verbs about the shop's rules: `desirepath rules check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feature_store.console import Console
from recommender.errors import RefusedError

app = typer.Typer(help="The shop's rules.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Result as one JSON line on stdout.")]


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="Rules file to read.", metavar="FILE")],
    *,
    placements: Annotated[
        Path | None,
        typer.Option(help="Placement file; without, the one that ships with the product."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder of a bundle whose items and attributes rules may name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a rules file as the service would, and look for what is doubtful in it.

    Exit code 2 for a file that the service would refuse; 1 for one that it would take, but that
    names items the bundle lacks, finds nothing in it, or contradicts itself.
    """
    from recommender.bundle import load_bundle
    from recommender.merchandising.findings import findings
    from recommender.merchandising.rules_file import read_rules
    from recommender.placements import DEFAULT_FILE, read_placements

    console = Console(as_json)
    known = read_placements(placements or DEFAULT_FILE)
    read, _ = read_rules(file, known)
    catalogue = load_bundle(bundle).catalogue if bundle else None
    found = findings(read, known, catalogue)
    for finding in found:
        console.say(finding)
    console.result({"version": read.version, "rules": len(read.rules), "findings": found})
    if found:
        raise RefusedError(f"{file}: {len(found)} findings")
