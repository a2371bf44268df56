"""Verbs of experiments that need nothing but their file: assign."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feature_store.cli_options import AsJson
from feature_store.console import Console

app = typer.Typer()


@app.command()
def assign(
    file: Annotated[
        Path,
        typer.Option("--file", help="Experiment: a file of the service, or a plain specification."),
    ],
    ids: Annotated[Path, typer.Option("--ids", help="Ids of the experiment's unit, one a line.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write arm, reason and id of each, with tabs between.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put subjects into the arms of an experiment, as the service does, and print a digest.

    The same digest from two places means the same arm for every id. A file of ids says nothing of
    pages and devices, so an audience counts as met. Experiments that it waits for are read from the
    same folder.
    """
    from feature_store.experiment_assign import (
        AssignmentDigest,
        assigned,
        read_ids,
        read_with_parents,
    )

    whole, digest, lines = read_with_parents(file), AssignmentDigest(), list[str]()
    experiment = whole.experiment
    for subject_id, found in assigned(whole, read_ids(ids)):
        digest.add(subject_id, found.variant, found.reason, takes_part=found.in_experiment)
        if out is not None:
            lines.append(f"{found.variant}\t{found.reason}\t{subject_id}\n")
    if out is not None:
        out.write_text("".join(lines), encoding="utf-8", newline="\n")
    Console(as_json).result(
        {
            "experiment": experiment.key,
            "phase": experiment.phase,
            "subjects": digest.subjects,
            "digest": digest.hexdigest,
            "arms": dict(digest.arms),
            "outside": dict(digest.outside),
        }
    )
