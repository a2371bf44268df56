"""What became of each submitted event, and how its time is judged.

Server time is the authority: an event may be late, and it may claim the future, within limits.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from feature_store.events import InteractionEvent
from recommender.errors import InvalidEventError
from recommender.terms import MICROS_PER_SECOND

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"
REJECTED: Final = "rejected"

CONFLICT: Final = "conflict"
TOO_LATE: Final = "too_late"
FUTURE: Final = "future"
UNENCODABLE: Final = "unencodable"
TOO_LARGE: Final = "too_large"

MINUTE_MICROS: Final = 60 * MICROS_PER_SECOND
DAY_MICROS: Final = 24 * 60 * MINUTE_MICROS
# A browser queue or a flaky network delays an event by minutes; more says that a device kept it.
LATE_AFTER_MICROS: Final = 5 * MINUTE_MICROS
REFUSED_LATE_AFTER_MICROS: Final = 7 * DAY_MICROS
# Clocks of browsers are off by seconds to minutes; more says that one is wrong. A time ahead of the
# server's is replaced in any case, else a shopper's clicks would be unknown until it has passed.
CLAMPED_AHEAD_MICROS: Final = 5 * MINUTE_MICROS
REFUSED_AHEAD_MICROS: Final = DAY_MICROS


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event.

    Parameters
    ----------
    event_id
        None where the event could not be read far enough to have one.
    code, detail
        Why it was rejected.
    late
        Accepted, and it happened more than `LATE_AFTER_MICROS` before it arrived.
    clamped
        Accepted, and its own time was more than `CLAMPED_AHEAD_MICROS` in the future.
    """

    status: Literal["accepted", "duplicate", "rejected"]
    event_id: str | None = None
    code: str | None = None
    detail: str | None = None
    late: bool = False
    clamped: bool = False


class TimedEvent(msgspec.Struct, frozen=True):
    """An event whose time was judged.

    Parameters
    ----------
    client_ts
        The time it claimed, where that was in the future and was replaced.
    """

    event: InteractionEvent
    late: bool = False
    clamped: bool = False
    client_ts: int | None = None


def judge_time(
    event: InteractionEvent, arrived_at: int, received_at: int, followers: int = 0
) -> TimedEvent:
    """Hold an event's own time against that of the server; no time stays in the future.

    Parameters
    ----------
    arrived_at
        When it first arrived, microseconds; lateness is judged by it.
    received_at
        Now, microseconds; differs from `arrived_at` when quarantine is replayed.
    followers
        Events that were sent behind it in the same request. A replaced time is put that many
        microseconds earlier, so that what happened in a batch stays in order.

    Raises
    ------
    InvalidEventError
        ``too_late`` or ``future``.
    """
    behind, ahead = arrived_at - event.ts, event.ts - received_at
    if behind > REFUSED_LATE_AFTER_MICROS:
        raise InvalidEventError(
            TOO_LATE, f"ts is {behind / DAY_MICROS:.1f} days before arrival; at most 7 are accepted"
        )
    if ahead > REFUSED_AHEAD_MICROS:
        raise InvalidEventError(
            FUTURE, f"ts is {ahead / DAY_MICROS:.1f} days in the future; at most 1 is accepted"
        )
    if ahead > 0:
        arrived = msgspec.structs.replace(event, ts=received_at - followers)
        return TimedEvent(arrived, clamped=ahead > CLAMPED_AHEAD_MICROS, client_ts=event.ts)
    return TimedEvent(event, late=behind > LATE_AFTER_MICROS)
