"""What is sent to be kept: who sends it, its verdicts, and what is said of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prometheus_client import Counter

from feature_store.intake_items import Submitted
from feature_store.verdicts import ACCEPTED, DUPLICATE, REJECTED, Verdict
from recommender.errors import StorageError, StorageFullError
from serving.errors import storage_problem
from serving.exchange import Exchange
from serving.schemas import RejectedEvent
from serving.security import WRITE, authorise
from serving.state import ServiceState


def authorise_beacon(exchange: Exchange, api_key: str | None) -> None:
    """Let a caller pass by the key in the body, where the headers had none. Raises `Problem`."""
    if not exchange.caller.scopes:
        exchange.caller = authorise(exchange.state.keys.find(api_key), {WRITE})


async def stored(
    state: ServiceState, records: Sequence[Submitted], raws: Sequence[bytes]
) -> list[Verdict]:
    """Verdicts of what was sent, once it is on disk. Raises `Problem` 503 or 507."""
    try:
        return await asyncio.wrap_future(state.intake.submit(records, raws))
    except StorageFullError as error:
        state.metrics.storage_full.inc()
        raise storage_problem(error) from error
    except StorageError as error:
        raise storage_problem(error) from error


def counted(verdicts: Sequence[Verdict], metric: Counter) -> dict[str, int]:
    """How many there are of each status, told to a metric as well."""
    counts = dict.fromkeys((ACCEPTED, DUPLICATE, REJECTED), 0)
    for verdict in verdicts:
        counts[verdict.status] += 1
    for status, count in counts.items():
        metric.labels(status).inc(count)
    return counts


def refused(verdicts: Sequence[Verdict], positions: Sequence[int]) -> list[RejectedEvent]:
    """What was refused, each with its place in the request and the reason."""
    return [
        RejectedEvent(position, verdict.code or REJECTED, verdict.detail or "")
        for position, verdict in zip(positions, verdicts, strict=True)
        if verdict.status == REJECTED
    ]
