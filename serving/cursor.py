"""Where a list goes on: an opaque word, bound to the answer that it continues.

It holds what was shown, by which model and in which arms, and is signed with the shop's secret:
nobody can make one, and one that was made for somebody else or for another question is refused.
Nothing is kept in the service, so that any worker may answer the next page.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

import msgspec

from feature_store.records import AssignmentRecord
from recommender.catalogue import Catalogue
from serving.errors import Problem
from serving.schemas import RecommendationRequest

SIGNATURE_BYTES = 16
MOST_SHOWN = 1000


class Continuation(msgspec.Struct, frozen=True, array_like=True):
    """What an answer hands on to the next page.

    Parameters
    ----------
    decision_id
        Of the first page.
    subject
        Digest of the keyed pseudonym of who asked: the log's own name of a shopper stays inside.
    question
        Digest of what was asked, see `question_digest`.
    shown_idx
        Items that were shown or kept out, as indices of the model's catalogue.
    shown_ids
        The same, of those that the model does not know.
    qa
        An arm was tried out.
    draft
        Where an interleaved list stands: rounds, waiting team, whether the round is competitive,
        whether its first item tells who drafted it.
    """

    decision_id: str
    placement: str
    subject: bytes
    question: bytes
    model_version: str
    shown_idx: tuple[int, ...] = ()
    shown_ids: tuple[str, ...] = ()
    assignments: tuple[AssignmentRecord, ...] = ()
    qa: bool = False
    draft: tuple[int, int | None, bool, bool] | None = None

    @property
    def shown(self) -> int:
        """How many items are not to be shown again."""
        return len(self.shown_idx) + len(self.shown_ids)

    def shown_items(self, catalogue: Catalogue) -> frozenset[str]:
        """Ids of the items that are not to be shown again."""
        ids = catalogue.ids
        known = (ids.id(index) for index in self.shown_idx if index < len(ids))
        return frozenset(self.shown_ids).union(known)


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Continuation).decode


def split_by_model(
    item_ids: Iterable[str], catalogue: Catalogue
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Items as indices of a catalogue, and the ids of those that it does not have."""
    index_of = catalogue.ids.index
    found = {item_id: index_of(item_id) for item_id in item_ids}
    if None not in found.values():
        return tuple(map(int, found.values())), ()  # type: ignore[arg-type]
    known = tuple([int(index) for index in found.values() if index is not None])
    return known, tuple([item_id for item_id, index in found.items() if index is None])


def question_digest(request: RecommendationRequest) -> bytes:
    """Eight bytes of what makes another page the same question."""
    parts = (
        request.context,
        request.filter,
        request.diversity,
        request.kinds,
        request.level,
        request.session_id,
        request.user_id,
    )
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=8).digest()


def subject_digest(subject: str) -> bytes:
    """Eight bytes of a keyed pseudonym."""
    return hashlib.blake2b(subject.encode(), digest_size=8).digest()


def seal(continuation: Continuation, secret: bytes) -> str:
    """The word that stands for it."""
    content = _ENCODE(continuation)
    return base64.urlsafe_b64encode(_signature(content, secret) + content).rstrip(b"=").decode()


def unseal(cursor: str, secret: bytes) -> Continuation:
    """What a word stands for. Raises `Problem` 422 where nobody here made it."""
    try:
        raw = base64.b64decode(
            cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        signature, content = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _signature(content, secret)):
            raise _forged()
        return _DECODE(content)
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError) as error:
        raise _forged() from error


def check_same(
    continuation: Continuation, request: RecommendationRequest, placement: str, subject: str
) -> None:
    """Raise `Problem` 422 where somebody else asks, or something else."""
    mine = (placement, subject_digest(subject), question_digest(request))
    theirs = (continuation.placement, continuation.subject, continuation.question)
    if mine != theirs:
        detail = (
            "This cursor belongs to another question; accepted: the next_cursor of an answer to "
            "the same shopper, placement, context, filter, kinds and session."
        )
        raise Problem(422, "cursor_foreign", detail)


def expired(detail: str) -> Problem:
    """The refusal of a list that cannot be continued as it began."""
    return Problem(410, "cursor_expired", f"{detail} Ask anew, without a cursor.")


def _forged() -> Problem:
    detail = "This is no cursor of this service; accepted: next_cursor of an answer, unchanged."
    return Problem(422, "cursor_invalid", detail)


def _signature(content: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(
        content, key=secret, digest_size=SIGNATURE_BYTES, person=b"cursor"
    ).digest()
