"""The service of the loop: a real one with several workers and keys, its tests, its arms."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import httpx
import msgspec

from benchmarks.experiment_parts.verbs import verb
from feature_store.event_log import LogReader
from feature_store.experiment_assign import AssignmentDigest
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord
from recommender.errors import DataError
from serving.experiment_schemas import AssignmentsResponse
from serving.security import create_key_file
from tests.serving.service import running
from training.simulation.service import Connection

BATCH: Final = 1000
ASKING_AT_A_TIME: Final = 4
SERVE: Final = [sys.executable, "-m", "desirepath", "serve"]


@dataclass(frozen=True, slots=True)
class Service:
    """Where a running service is reached, and its keys by name."""

    url: str
    keys: Mapping[str, str]

    def put(self, key: str, experiment: Mapping[str, Any]) -> None:
        """Make an experiment. Raises `DataError` where it is refused."""
        answer = httpx.put(
            f"{self.url}/v1/experiments/{key}",
            json=experiment,
            headers={"X-API-Key": self.keys["admin"]},
            timeout=60,
        )
        if answer.status_code != 200:
            raise DataError(f"experiment {key} is answered {answer.status_code}: {answer.text}")


def make_keys(root: Path) -> dict[str, str]:
    """The first keys of a service."""
    return create_key_file(root / "keys.json", os.urandom)


@contextmanager
def served(root: Path, keys: Mapping[str, str], workers: int) -> Iterator[Service]:
    """`desirepath serve` for the time of a ``with`` block; it leaves to chance what it may."""
    explores = {"DESIREPATH_EXPLORE": "true"}
    with running(root, "--workers", f"{workers}", command=SERVE, env=explores) as process:
        yield Service(process.url, keys)


def subjects(n: int) -> list[str]:
    """Ids as shops have them, some letters beyond ASCII."""
    return [f"visitor-{number}-é用户" for number in range(n)]


def timed_digest(by: str, service: Service, key: str, ids: Sequence[str]) -> dict[str, object]:
    """Digest of the arms that a service gives, each batch over a connection of its own."""

    def ask(first: int) -> list[tuple[str, str, str, bool]]:
        batch = ids[first : first + BATCH]
        question = {"subjects": [{"visitor_id": each} for each in batch], "experiments": [key]}
        connection = Connection(service.url, service.keys["admin"])
        answer = connection.post("/v1/assignments", msgspec.json.encode(question))
        connection.close()
        found = msgspec.json.decode(answer, type=AssignmentsResponse).assignments
        return [
            (each, one.variant, one.reason, one.in_experiment)
            for each, (one,) in zip(batch, found, strict=True)
        ]

    began, digest = perf_counter(), AssignmentDigest()
    with ThreadPoolExecutor(ASKING_AT_A_TIME) as pool:
        for batch in pool.map(ask, range(0, len(ids), BATCH)):
            for subject, variant, reason, takes_part in batch:
                digest.add(subject, variant, reason, takes_part=takes_part)
    return _row(by, digest.hexdigest, dict(digest.arms), began)


def timed_digest_of_file(root: Path, key: str, ids: Sequence[str]) -> dict[str, object]:
    """The same by `desirepath experiment assign`, from the service's own file."""
    began, path = perf_counter(), root / "ids.txt"
    path.write_text("".join(f"{each}\n" for each in ids), encoding="utf-8")
    file = StoreLayout(root).experiments / f"{key}.json"
    found = verb(["experiment", "assign", "--file", file, "--ids", path])
    return _row("command line", str(found["digest"]), found["arms"], began)


def workers_that_answered(root: Path) -> int:
    """Processes whose answers are in the log."""
    entries = (entry.record for entry in LogReader(StoreLayout(root).log))
    return len({each.writer for each in entries if isinstance(each, DecisionRecord)})


def _row(by: str, digest: str, arms: object, began: float) -> dict[str, object]:
    seconds = round(perf_counter() - began, 1)
    return {"by": by, "digest": digest, "arms": arms, "seconds": seconds}
