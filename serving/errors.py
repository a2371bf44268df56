"""What a caller is told when a request is refused: problem+json (RFC 9457) with a machine code."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from recommender.errors import StorageBusyError, StorageError, StorageFullError

OVERLOAD_RETRY_SECONDS = 1
PROBLEM_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the term of RFC 9457, and what the answer is called
    """A request is refused. Raised anywhere below the edge, which turns it into the answer.

    Parameters
    ----------
    status
        HTTP status, 400..599.
    code
        Machine-readable reason, snake_case, from the table in ``docs/http-api.md``.
    detail
        What was wrong, which value, what would be accepted.
    retry_after
        Seconds after which the same request may succeed; None where it never will.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Headers that this refusal needs beyond the usual ones."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.status == HTTPStatus.REQUEST_TIMEOUT:
            headers["Connection"] = "close"
        if self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="desirepath"'
        return headers

    def body(self, request_id: str) -> bytes:
        """The answer's body."""
        return msgspec.json.encode(
            ProblemBody(
                type="about:blank",
                title=HTTPStatus(self.status).phrase,
                status=self.status,
                code=self.code,
                detail=self.detail,
                request_id=request_id,
            )
        )


class ProblemBody(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str


def storage_problem(error: StorageError) -> Problem:
    """The refusal that tells a sender of events to keep them and try again."""
    if isinstance(error, StorageFullError):
        detail = (
            "The log has no space left; nothing of this request was stored. Send it again later."
        )
        return Problem(507, "storage_full", detail, retry_after=error.retry_after_seconds)
    if isinstance(error, StorageBusyError):
        return Problem(503, "overloaded", f"{error}", retry_after=OVERLOAD_RETRY_SECONDS)
    detail = "The log could not be written; nothing is promised about this request. Send it again."
    return Problem(503, "storage_failed", detail, retry_after=1)


def internal_problem() -> Problem:
    """The answer to an error that nobody expected; the log has the rest under the request id."""
    return Problem(
        500, "internal_error", "The request failed here, through no fault of the caller."
    )
