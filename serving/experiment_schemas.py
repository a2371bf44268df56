"""What is asked and answered over HTTP about experiments."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from feature_store.experiment_change import Revision
from feature_store.experiment_spec import ExperimentSpec
from serving.schemas import Asked, AssignmentView, Context, Id, Notes, RejectedEvent, check_ids


class ExperimentResponse(msgspec.Struct, frozen=True):
    """An experiment and its history, oldest first.

    `etag` belongs into `If-Match` of the next change. `refusal` says why its file is not in use.
    """

    key: str
    etag: str
    revision: int
    phase: int
    experiment: ExperimentSpec
    history: list[Revision]
    refusal: str | None


class SubjectToAssign(Asked, frozen=True):
    """Who is to be assigned: the ids that are known, what was remembered for them, and the page.

    Of `context` only what an experiment's audience may ask for counts.
    """

    visitor_id: Id | None = None
    user_id: Id | None = None
    session_id: Id | None = None
    remembered: Notes = {}  # noqa: RUF012 - a struct copies it
    context: Context = Context()

    def __post_init__(self) -> None:
        ids = [each for each in (self.visitor_id, self.user_id, self.session_id) if each]
        if not ids:
            raise ValueError("a subject without id; accepted: visitor_id, user_id or session_id")
        check_ids(ids)


class AssignmentsRequest(Asked, frozen=True):
    """Ask which arms subjects are in. Nothing is recorded, and nobody counts as exposed.

    `experiments` names those to look at, running or not; left out: all that run.
    """

    subjects: Annotated[list[SubjectToAssign], Meta(min_length=1, max_length=1000)]
    experiments: (
        Annotated[
            list[Annotated[str, Meta(min_length=1, max_length=64)]],
            Meta(min_length=1, max_length=100),
        ]
        | None
    ) = None


class AssignmentsResponse(msgspec.Struct, frozen=True):
    """The arms of each subject, in the order asked."""

    assignments: list[list[AssignmentView]]


class VisibleItem(Asked, frozen=True):
    """An item that came into view, and its slot from 1."""

    item_id: Id
    slot: Annotated[int, Meta(ge=1, le=1000)]

    def __post_init__(self) -> None:
        check_ids([self.item_id])


class Viewport(Asked, frozen=True):
    """Size of the window, in CSS pixels."""

    width: Annotated[int, Meta(ge=1, le=100_000)]
    height: Annotated[int, Meta(ge=1, le=100_000)]


ClientTime = (
    Annotated[
        str,
        Meta(min_length=1, max_length=64, description="RFC 3339, such as 2026-01-31T10:15:00Z."),
    ]
    | Annotated[
        int, Meta(ge=0, description="Seconds, milliseconds or microseconds since the epoch.")
    ]
)
ExposureId = Annotated[str, Meta(min_length=1, max_length=128)]


class ExposureReport(Asked, frozen=True):
    """What a client saw come into view. Sent again with the same `exposure_id` it counts once."""

    exposure_id: ExposureId
    recommendation_id: Annotated[str, Meta(min_length=1, max_length=64)]
    items: Annotated[list[VisibleItem], Meta(min_length=1, max_length=100)]
    ts: ClientTime | None = None
    viewport: Viewport | None = None


class ExposuresRequest(Asked, frozen=True):
    """Confirmed views. `api_key` is for beacons, which cannot send headers."""

    exposures: Annotated[list[ExposureReport], Meta(min_length=1, max_length=1000)]
    api_key: str | None = None


class ExposuresResponse(msgspec.Struct, frozen=True):
    """What became of each view; those that are accepted are on disk."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]
