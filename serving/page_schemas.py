"""What is asked and answered over HTTP for all lists of a page at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from serving.schemas import (
    Arms,
    Asked,
    Context,
    DeadlineMs,
    Diversity,
    ExposureMode,
    Filter,
    FilterText,
    Id,
    Kind,
    Level,
    Limit,
    Notes,
    RecommendationRequest,
    RecommendationResponse,
    Word,
    check_ids,
)


class PagePlacement(Asked, frozen=True):
    """One of the lists of a page."""

    placement: Word
    limit: Limit | None = None


class PageRequest(Asked, frozen=True):
    """Ask for all lists of a page at once: no item stands in two of them, earlier ones win."""

    placements: Annotated[list[PagePlacement], Meta(min_length=1, max_length=10)]
    visitor_id: Id | None = None
    user_id: Id | None = None
    session_id: Id | None = None
    context: Context = Context()
    exclude_item_ids: Annotated[list[Id], Meta(max_length=1000)] = []  # noqa: RUF012 - a struct copies it
    filter: Filter | FilterText = Filter()
    diversity: Diversity | None = None
    personalize: bool | Level = True
    explain: bool = False
    dry_run: bool = False
    return_properties: bool = False
    kinds: Annotated[list[Kind], Meta(min_length=1, max_length=7)] | None = None
    assignments: Arms = {}  # noqa: RUF012 - as above
    force: Arms = {}  # noqa: RUF012 - as above
    remembered: Notes = {}  # noqa: RUF012 - as above
    exposure: ExposureMode = "on_response"
    deadline_ms: DeadlineMs | None = None

    def __post_init__(self) -> None:
        check_ids(self.exclude_item_ids)
        check_ids(each for each in (self.visitor_id, self.user_id, self.session_id) if each)

    def at(self, place: PagePlacement, taken: Iterable[str]) -> RecommendationRequest:
        """The question for one list; the items of the lists before it are taken."""
        shared = {name: getattr(self, name) for name in _SHARED}
        excluded = [*self.exclude_item_ids, *taken]
        return RecommendationRequest(
            place.placement, limit=place.limit, exclude_item_ids=excluded, **shared
        )


_SHARED = tuple(
    name for name in PageRequest.__struct_fields__ if name not in {"placements", "exclude_item_ids"}
)


class PageResponse(msgspec.Struct, frozen=True):
    """The lists of a page, in the order asked for; each has its own `recommendation_id`."""

    page_id: str
    answers: list[RecommendationResponse]
    took_ms: float
