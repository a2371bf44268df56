"""One submitted event on its way to a verdict: encoded and timed ahead of any lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from feature_store.dedup import Known, Pair, index_pairs, judge_pairs
from feature_store.event_log.frame import MAX_BODY_BYTES
from feature_store.event_log.prepared import PreparedEvent, prepare_event, prepare_exposure
from feature_store.events import DIGEST_BYTES, DedupKey, InteractionEvent, dedup_keys
from feature_store.quarantine import Reject
from feature_store.records import EventRecord, ExposureRecord
from feature_store.verdicts import (
    ACCEPTED,
    CONFLICT,
    DUPLICATE,
    REJECTED,
    TOO_LARGE,
    UNENCODABLE,
    TimedEvent,
    Verdict,
    judge_time,
)
from recommender.errors import InvalidEventError

MAX_TEXT_BYTES = MAX_BODY_BYTES - 1024
_UNJUDGED = Verdict(REJECTED)


Submitted: TypeAlias = InteractionEvent | ExposureRecord | InvalidEventError


@dataclass(slots=True)
class Submission:
    """Events and views that wait for their verdicts.

    Parameters
    ----------
    raws
        The bytes of each event as sent.
    received_at
        Now, microseconds.
    arrived_at
        When they first arrived, microseconds; differs when quarantine is replayed.
    """

    events: Sequence[Submitted]
    raws: Sequence[bytes]
    received_at: int
    arrived_at: int
    future: Future[list[Verdict]] = field(default_factory=Future)


@dataclass(slots=True)
class Item:
    """One event of a submission.

    Parameters
    ----------
    event
        As it will be applied; None where it could not be read, and for a view.
    exposure
        A confirmed view, which has no event.
    pairs
        Dedup keys and digests of what was sent, before a time in the future is replaced.
    prepared
        What would be written.
    refusal
        Why it is refused, unless it turns out to be known already.
    """

    raw: bytes
    arrived_at: int
    event: InteractionEvent | None = None
    exposure: ExposureRecord | None = None
    pairs: tuple[Pair, ...] = ()
    prepared: PreparedEvent | None = None
    refusal: InvalidEventError | None = None
    verdict: Verdict = field(default=_UNJUDGED)

    @property
    def event_id(self) -> str | None:
        """Id of the event, where it could be read; always encodable."""
        if self.exposure is not None:
            return self.exposure.exposure_id
        if self.event is None:
            return None
        return self.event.event_id.encode("utf-8", "backslashreplace").decode()

    def refuse(self, code: str, detail: str) -> None:
        """Refuse it, unless it turns out to be known already."""
        self.refusal, self.verdict = InvalidEventError(code, detail), _UNJUDGED

    def judge(self, digests: Mapping[bytes, bytes]) -> bool:
        """Set the verdict, given what is known. Returns whether the event is accepted.

        A duplicate stays one however old it is.
        """
        known = judge_pairs(self.pairs, digests)
        if known is Known.DUPLICATE:
            self.verdict = Verdict(DUPLICATE, self.event_id)
        elif known is Known.CONFLICT:
            detail = (
                f"event_id {self.event_id!r:.80} or its transaction is known with other content"
            )
            self.verdict = Verdict(REJECTED, self.event_id, CONFLICT, detail)
        elif self.refusal is not None:
            self.verdict = Verdict(REJECTED, self.event_id, self.refusal.code, self.refusal.detail)
        return self.verdict.status == ACCEPTED

    def reject(self) -> Reject:
        """What quarantine keeps of a rejected event."""
        code, detail = self.verdict.code or "", self.verdict.detail or ""
        return Reject(self.arrived_at, code, detail, self.event_id, self.raw)


def prepare(submission: Submission, writer: str) -> Iterator[Item]:
    """The items of a submission, in order. Never raises on what an event holds."""
    followers = len(submission.events)
    for event, raw in zip(submission.events, submission.raws, strict=True):
        followers -= 1
        item = Item(raw, submission.arrived_at)
        try:
            if isinstance(event, InvalidEventError):
                raise event
            if isinstance(event, ExposureRecord):
                _prepare_view(item, event, submission.received_at, writer)
                yield item
                continue
            item.event = event
            item.pairs = index_pairs(dedup_keys(event))
            timed = judge_time(event, submission.arrived_at, submission.received_at, followers)
            _encode(item, timed, submission.received_at, writer)
        except InvalidEventError as error:
            item.refusal = error
        except (UnicodeEncodeError, OverflowError, TypeError, ValueError, RecursionError) as error:
            detail = f"cannot be written as JSON: {error!r:.200}"
            item.refusal = InvalidEventError(UNENCODABLE, detail)
        yield item


def _prepare_view(item: Item, view: ExposureRecord, received_at: int, writer: str) -> None:
    said = replace(view, ts_server=0, seq=0, writer="")  # the same, whenever it is sent
    digest = hashlib.blake2b(msgspec.json.encode(said), digest_size=DIGEST_BYTES).digest()
    item.exposure = view
    item.pairs = index_pairs([DedupKey(f"v:{view.exposure_id}", digest)])
    record = replace(view, ts_server=received_at, seq=0, writer=writer)
    item.prepared = prepare_exposure(record, b"".join(chain.from_iterable(item.pairs)))
    item.verdict = Verdict(ACCEPTED, view.exposure_id)


def _encode(item: Item, timed: TimedEvent, received_at: int, writer: str) -> None:
    record = EventRecord(
        event=timed.event,
        received_at=received_at,
        seq=0,
        writer=writer,
        late=timed.late,
        clamped=timed.clamped,
        client_ts=timed.client_ts,
    )
    prepared = prepare_event(record, b"".join(chain.from_iterable(item.pairs)))
    if prepared.size > MAX_TEXT_BYTES:
        detail = f"takes {prepared.size} bytes; at most {MAX_TEXT_BYTES} are accepted"
        raise InvalidEventError(TOO_LARGE, detail)
    item.event, item.prepared = timed.event, prepared
    item.verdict = Verdict(ACCEPTED, timed.event.event_id, late=timed.late, clamped=timed.clamped)
