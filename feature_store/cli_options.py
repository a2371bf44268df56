"""Options that several verbs share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

DEFAULT_STORE: Final = Path("var")
MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

AsJson = Annotated[bool, typer.Option("--json", help="Result as one JSON line on stdout.")]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Format of --log, as `desirepath datasets` lists them. Default: as it looks.",
    ),
]
RedisUrl = Annotated[
    str | None,
    typer.Option(
        envvar="DESIREPATH_REDIS_URL",
        help="Server of the online store (or DESIREPATH_REDIS_URL); without, it is a file.",
    ),
]
