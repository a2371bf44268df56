"""Command line of the service: `desirepath serve`, `compile` and `rules check`."""

from __future__ import annotations

import inspect
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from feature_store.cli_options import AsJson
from feature_store.console import Console
from recommender.errors import DesirepathError, InvalidInputError, RefusedError
from serving.metrics_folder import VARIABLE, metrics_folder
from serving.settings import Settings

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
rules_app = typer.Typer(help="The shop's rules.", no_args_is_help=True)
REFUSED, USAGE = 1, 2
BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
KINDS = {"int": int, "float": float, "bool": bool}


def serve(*, as_json: bool, **given: object) -> None:
    """Answer questions over HTTP until told to stop.

    Every option has a DESIREPATH_* variable as well; docs/operations.md lists them all.
    """
    settings = Settings.load(os.environ, given)
    _limit_threads()
    with ExitStack() as stack:
        if settings.processes > 1:  # before prometheus_client comes in: workers share their counts
            os.environ[VARIABLE] = str(stack.enter_context(metrics_folder()))
        code = _serve(settings, Console(as_json))
    raise typer.Exit(code)


def _limit_threads() -> None:
    """One request, one thread: the libraries under numpy read this when they are loaded."""
    for name in BLAS_VARIABLES:
        os.environ.setdefault(name, "1")


def _options() -> list[inspect.Parameter]:
    """One option per setting, so that options, variables and their documentation cannot drift."""
    options = [
        _option(each.name, KINDS.get(str(each.type), str), each.metadata["describe"])
        for each in fields(Settings)
    ]
    return [*options, _parameter("as_json", AsJson, default=False)]


def _option(name: str, kind: type, describe: str) -> inspect.Parameter:
    flag = "--" + name.replace("_", "-")
    return _parameter(name, Annotated[kind | None, typer.Option(flag, help=describe)], default=None)


def _parameter(name: str, annotation: object, default: object) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


# Typer reads a command's signature; this one is made from the settings.
serve.__signature__ = inspect.Signature(_options())  # type: ignore[attr-defined]
serve.__annotations__ = {each.name: each.annotation for each in _options()}
app.command()(serve)


def compile_ahead(*, as_json: AsJson = False) -> None:
    """Make the machine code of the service ahead of its first start, and keep it on disk.

    Takes half a minute, or a second where it is there already. It is made for this processor, and
    kept beside the installed code or where NUMBA_CACHE_DIR says.
    """
    _limit_threads()
    refuse_scipy()
    from recommender.compiled import kept_in
    from recommender.placements import read_placements
    from serving.rehearsal import rehearse

    if (folder := kept_in()) is None:
        raise RefusedError(
            "machine code can be kept nowhere: neither beside the installed code nor in the "
            "user's cache; set NUMBA_CACHE_DIR to a folder that can be written"
        )
    began = time.perf_counter()
    rehearse(read_placements().values())
    seconds = round(time.perf_counter() - began, 1)
    Console(as_json).result({"seconds": seconds, "kept_in": str(folder)})


def refuse_scipy() -> None:
    """Keep scipy out of this process; to be called before a model is loaded.

    numba, which compiles the kernels of a model with a ranker, imports scipy wherever it is
    installed, only to look at its version; no kernel here calls it, so it would be start-up time
    and memory for nothing. ``None`` in `sys.modules` is Python's way to say that a module is not
    there.
    """
    sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]


def _serve(settings: Settings, console: Console) -> int:
    refuse_scipy()
    from serving.security import create_key_file
    from serving.server import serve
    from serving.telemetry import configure_logging

    configure_logging(settings.log_level)
    if not settings.dev and not settings.keys_path.exists():
        keys = create_key_file(settings.keys_path, os.urandom)
        console.say(f"New API keys. They are shown this once; {settings.keys_path} holds hashes.")
        for name, key in keys.items():
            console.say(f"  {name:8} {key}")

    def announce(url: str) -> None:
        console.result({"url": url, "workers": settings.processes, "pid": os.getpid()})

    return serve(settings, announce)


@rules_app.command("check")
def check_rules(
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


def main() -> None:
    """Run the service alone; errors end as they do in `desirepath`."""
    try:
        app()
    except DesirepathError as error:
        sys.stderr.write(f"desirepath: {error}\n")
        sys.exit(USAGE if isinstance(error, InvalidInputError) else REFUSED)
