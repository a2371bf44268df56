"""What the command line of the benchmark over HTTP says."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.latency_parts.contestants import ALL, ALONE, QUICK, REDIS, WORKERS
from benchmarks.latency_parts.figures import CONNECTIONS
from benchmarks.latency_parts.load import find_wrk
from recommender.errors import InvalidInputError
from tests.redis_server import BINARY

PROBED_VISITORS: Final = 20
# What counts where the command line says nothing.
USUALLY: Mapping[str, object] = {
    "contestants": ALL,
    "rounds": 5,
    "seconds": 4,
    "items": 2_000,
    "shoppers": 2_000,
    "days": 21,
}
QUICKLY: Mapping[str, object] = {
    "contestants": QUICK,
    "rounds": 3,
    "seconds": 1,
    "items": 1_000,
    "shoppers": 1_000,
    "days": 14,
}


def check(given: argparse.Namespace) -> None:
    """Raise `InvalidInputError` before anything is made."""
    find_wrk()
    _check_contestants(given)
    if given.bundle and given.root:
        raise InvalidInputError("--bundle and --root name two models; give one of them")
    for name in ("items", "shoppers", "days", "factors", "visitors", "rounds", "seconds"):
        if getattr(given, name) < 1:
            raise InvalidInputError(f"{name}={getattr(given, name)}; accepted: 1 or more")
    if given.visitors < PROBED_VISITORS:
        raise InvalidInputError(f"visitors={given.visitors}; accepted: {PROBED_VISITORS} or more")


def _check_contestants(given: argparse.Namespace) -> None:
    if unknown := sorted(set(given.contestants) - set(ALL)):
        raise InvalidInputError(f"contestants {unknown}; accepted: {', '.join(ALL)}")
    if REDIS in given.contestants and BINARY is None:
        raise InvalidInputError(
            "contestant redis: no redis-server on PATH; accepted: contestants without it, or "
            "install it, `apt-get install redis-server`"
        )
    if unknown := sorted(set(given.open) - set(given.contestants)):
        raise InvalidInputError(f"--open {unknown}; accepted: {', '.join(given.contestants)}")
    if given.swaps and not {ALONE, WORKERS} & set(given.contestants):
        raise InvalidInputError(f"--swaps needs a contestant of: {ALONE}, {WORKERS}")


def arguments_of(
    words: Sequence[str] | None = None, description: str | None = None
) -> argparse.Namespace:
    """What the command line says; None: this process's own."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--root", type=Path, help="data folder with a delivered bundle, such as that of the demo")
    add("--bundle", type=Path, help="folder of the bundle to ask")
    add("--items", type=int, help="of the simulated shop; from 2,001 on its model is grown")
    add("--factors", type=int, default=128, help="of a grown model")
    add("--width", type=int, default=0, help="neighbours per item of a grown model; 0: as learnt")
    add("--grow-from", type=Path, help="bundle to grow; a larger simulated shop's if unset")
    add("--known", type=int, default=0, help="shoppers whom the service knows and nobody asks for")
    add("--cache", type=Path, help="folder that keeps models for the next run")
    add("--shoppers", type=int, help="of the simulated shop")
    add("--days", type=int, help="of the simulated shop")
    add("--visitors", type=int, default=500, help="who are asked for, in turn")
    add("--contestants", type=lambda text: text.split(","), help="joined by commas")
    add("--connections", type=_numbers, default=list(CONNECTIONS), help="joined by commas")
    add("--rounds", type=int, help="how often each is loaded at each number of connections")
    add("--seconds", type=int, help="how long each time")
    add("--swaps", action="store_true", help="also with another model every second")
    add("--open", type=lambda text: text.split(","), default=[], help="also at fixed rates; commas")
    add("--scale", type=_numbers, help="instead: cost at these numbers of items and shoppers")
    add("--out", type=Path, help="folder for the picture of --scale")
    add("--quick", action="store_true", help="a smaller shop, less load: minutes less")
    add("--folder", type=Path, help="where to write; a temporary folder if unset")
    add("--json", action="store_true", help="one JSON object as the last line of standard output")
    given = parser.parse_args(words)
    for name, value in (QUICKLY if given.quick else USUALLY).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def _numbers(text: str) -> list[int]:
    if not all(each.isdecimal() and int(each) for each in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: numbers from 1 joined by commas")
    return list(dict.fromkeys(int(each) for each in text.split(",")))
