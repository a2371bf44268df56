"""What is asked and answered over HTTP. Decoders and OpenAPI document are both made from these.

"Suggestion" and "personalize" are the words of the HTTP contract; the rest of the code says
recommendation and personalised.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from recommender.terms import FULL, OFF

MAX_ID_BYTES = 256
MAX_LIMIT = 100

Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_ID_BYTES,
        description="Any text of 1 to 256 bytes in UTF-8, kept byte by byte.",
        extra_json_schema={"x-max-bytes": MAX_ID_BYTES},
    ),
]
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Texts = Annotated[list[Text], Meta(min_length=1, max_length=100)]
Amount = Annotated[float, Meta(ge=0)]
Level = Literal["off", "light", "full"]
Kind = Literal["item", "buy_again", "resume", "complement", "category", "search", "checkout"]
ExperimentName = Annotated[str, Meta(min_length=1, max_length=64)]
Arms = Annotated[
    dict[ExperimentName, ExperimentName],
    Meta(max_length=32, description="Experiment to arm."),
]
Notes = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=80)], ExperimentName],
    Meta(max_length=64, description="What `remember` of earlier answers said, joined."),
]
Cursor = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=16384,
        description="`next_cursor` of an answer: more of the same list, for the same question.",
    ),
]
ExposureMode = Literal["on_response", "on_confirm"]
Limit = Annotated[
    int,
    Meta(
        ge=1,
        le=(1 << 63) - 1,
        description="List length; more than 100 means 100. Left out: that of the placement.",
    ),
]


def check_ids(ids: Iterable[str]) -> None:
    """Raise `ValueError` for an id that is too long in bytes or is not text at all."""
    for outside_id in ids:
        if not outside_id.isascii() and len(outside_id.encode()) > MAX_ID_BYTES:
            length = len(outside_id.encode())
            raise ValueError(f"id of {length} bytes; accepted: 1 to {MAX_ID_BYTES}")


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything that comes in: unknown fields are refused."""


class PriceRange(Asked, frozen=True):
    """Prices in the shop's currency; an item of unknown price is in no range."""

    min: Amount | UnsetType = UNSET
    max: Amount | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.min is UNSET and self.max is UNSET:
            raise ValueError("price needs min or max")


class Filter(Asked, frozen=True):
    """Conditions that every item must meet. A category includes its descendants."""

    category: Text | Texts | None = None
    brand: Text | Texts | None = None
    price: PriceRange | None = None


FilterText = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description='In the filter language, such as `brand = "acme" and price < 30`.',
    ),
]
DeadlineMs = Annotated[
    int,
    Meta(
        ge=1,
        le=60_000,
        description="Milliseconds from arrival; what is not begun by then is left out.",
    ),
]
Diversity = Literal["none", "low", "medium", "high"] | Annotated[float, Meta(ge=0, le=1)]


class Context(Asked, frozen=True):
    """The page, the cart and the device."""

    page_type: Word | None = None
    item_ids: Annotated[list[Id], Meta(max_length=200)] = []
    cart_item_ids: Annotated[list[Id], Meta(max_length=200)] = []
    query: Text | None = None
    category: Text | None = None
    device: Word | None = None
    locale: Word | None = None
    currency: Word | None = None

    def __post_init__(self) -> None:
        if self.item_ids or self.cart_item_ids:
            check_ids([*self.item_ids, *self.cart_item_ids])


class RecommendationRequest(Asked, frozen=True):
    """Ask for suggestions.

    Without `visitor_id` and `user_id`, or with `personalize` off, the answer is impersonal.
    `assignments` are arms that somebody else gave out, `force` those to try out (admin keys only;
    such an answer counts in no analysis). With `exposure` as `on_confirm` the list counts as seen
    where `/v1/exposures` confirms it.
    """

    placement: Word
    visitor_id: Id | None = None
    user_id: Id | None = None
    session_id: Id | None = None
    context: Context = Context()
    limit: Limit | None = None
    exclude_item_ids: Annotated[list[Id], Meta(max_length=1000)] = []
    filter: Filter | FilterText = Filter()
    diversity: Diversity | None = None
    personalize: bool | Level = True
    explain: bool = False
    dry_run: bool = False
    return_properties: bool = False
    kinds: Annotated[list[Kind], Meta(min_length=1, max_length=7)] | None = None
    assignments: Arms = {}
    force: Arms = {}
    remembered: Notes = {}
    exposure: ExposureMode = "on_response"
    cursor: Cursor | None = None
    deadline_ms: DeadlineMs | None = None

    def __post_init__(self) -> None:
        if self.exclude_item_ids:
            check_ids(self.exclude_item_ids)
        check_ids([self.visitor_id or "", self.user_id or "", self.session_id or ""])

    @property
    def level(self) -> str:
        """How much of the shopper the caller wants to take part; true is all, false nothing."""
        if isinstance(self.personalize, str):
            return self.personalize
        return FULL if self.personalize else OFF


class SimilarItemsRequest(Asked, frozen=True):
    """Ask for items like the given ones; nothing about the shopper takes part."""

    item_ids: Annotated[list[Id], Meta(min_length=1, max_length=200)]
    placement: Word = "similar"
    limit: Limit | None = None
    exclude_item_ids: Annotated[list[Id], Meta(max_length=1000)] = []
    filter: Filter | FilterText = Filter()
    diversity: Diversity | None = None
    explain: bool = False
    dry_run: bool = False
    return_properties: bool = False

    def __post_init__(self) -> None:
        check_ids(self.item_ids)
        check_ids(self.exclude_item_ids)

    def as_recommendation(self) -> RecommendationRequest:
        """The same question in the general form."""
        return RecommendationRequest(
            placement=self.placement,
            context=Context(item_ids=self.item_ids),
            limit=self.limit,
            exclude_item_ids=self.exclude_item_ids,
            filter=self.filter,
            diversity=self.diversity,
            personalize=False,
            explain=self.explain,
            dry_run=self.dry_run,
            return_properties=self.return_properties,
        )


class RecommendationParams(Asked, frozen=True):
    """The cacheable form of the question, in the query string; lists repeat their name."""

    placement: Word
    visitor_id: Id | None = None
    item_id: Annotated[list[Id], Meta(max_length=200)] = []
    exclude_item_id: Annotated[list[Id], Meta(max_length=200)] = []
    category: Text | None = None
    limit: Limit | None = None
    filter: FilterText | None = None
    diversity: Diversity | None = None
    kinds: Annotated[list[Kind], Meta(max_length=7)] = []
    return_properties: Literal["true", "false"] = "false"
    cursor: Cursor | None = None
    deadline_ms: DeadlineMs | None = None

    def __post_init__(self) -> None:
        check_ids([*self.item_id, *self.exclude_item_id])
        check_ids(each for each in (self.visitor_id,) if each)

    def as_recommendation(self) -> RecommendationRequest:
        """The same question in the general form."""
        return RecommendationRequest(
            placement=self.placement,
            visitor_id=self.visitor_id,
            context=Context(item_ids=self.item_id, category=self.category),
            limit=self.limit,
            exclude_item_ids=self.exclude_item_id,
            filter=self.filter or Filter(),
            diversity=self.diversity,
            kinds=self.kinds or None,
            return_properties=self.return_properties == "true",
            cursor=self.cursor,
            deadline_ms=self.deadline_ms,
        )


class Reason(msgspec.Struct, frozen=True):
    """Why an item is there: a neutral code, never an inference about a person."""

    code: str


class ItemProperties(msgspec.Struct, frozen=True):
    """What the model knows about an item."""

    title: str | None
    category: str | None
    brand: str | None
    price: float | None


class RecommendedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One suggestion. Scores are for server keys only and compare within one answer.

    `kind` says which field holds what is suggested: `category` and `query` for kinds `category`
    and `search`, none for `checkout`, and `item_id` for all others. `promotion` names the shop's
    promotion that brought it in.
    """

    item_id: str | UnsetType = UNSET
    category: str | UnsetType = UNSET
    query: str | UnsetType = UNSET
    rank: int
    kind: Kind
    reason: Reason
    promotion: str | UnsetType = UNSET
    score: float | UnsetType = UNSET
    properties: ItemProperties | UnsetType = UNSET


class Candidate(msgspec.Struct, frozen=True):
    """One of the best candidates, and what each source added to its score."""

    item_id: str
    sources: dict[str, float]


class TiredItem(msgspec.Struct, frozen=True):
    """An item that went down or away because it, or its like, was shown and ignored.

    `before` and `after` are ranks; `after` is null for an item that `cap` took away.
    """

    item_id: str
    ignored: int
    discount: float
    before: int
    after: int | None
    cap: str | None


class FatigueExplanation(msgspec.Struct, frozen=True):
    """What was done about suggestions that the shopper ignored.

    `acted` is the budget that is spent, or `min_gain`; `gain` the share of its strength that the
    list kept.
    """

    acted: str | None
    gain: float
    items: list[TiredItem]


class RuleMove(msgspec.Struct, frozen=True):
    """An item that one of the shop's rules moved.

    `from_position` is null where no source had proposed it, `to_position` where the rule took it
    out of the list. Later rules may have moved it further.
    """

    rule: str
    item_id: str
    from_position: int | None
    to_position: int | None


class PaceExplanation(msgspec.Struct, frozen=True):
    """How the pace of the visit was told, and what it changed in the list.

    `features` are relative: 0 is the least that this shop's visits show, 1 the most. `asked` is the
    list length without the pace, `given` the one with it; `novelty_at_least` and `novelty_at_most`
    bound the share of items that are new to the shopper.
    """

    mode: str
    confidence: float
    steps: int
    features: dict[str, float]
    asked: int
    given: int
    novelty_at_least: float
    novelty_at_most: float


class Explanation(msgspec.Struct, frozen=True):
    """How the answer came about.

    `acceptance` is the predicted probability that each item is taken up once it was shown; empty
    where nothing was learnt.
    `changed_share` is the share of the list that differs from what anybody would have got; null
    where the placement sets no limit to it, or nothing about the shopper took part.
    """

    eligible_count: int
    filters: dict[str, int]
    candidates: list[Candidate]
    fatigue: FatigueExplanation
    rules_version: str
    rules: list[RuleMove]
    pace: PaceExplanation
    acceptance: dict[str, float]
    changed_share: float | None


class AssignmentView(msgspec.Struct, frozen=True):
    """The arm of one experiment; the control for those who do not take part, with the reason.

    `bucket` is null where nothing was hashed. `remember` belongs into `remembered` of the next
    question where the experiment is sticky.
    """

    experiment: str
    variant: str
    in_experiment: bool
    reason: str
    bucket: float | None
    hash_version: int
    phase: int
    assigned_by: Literal["service", "external", "forced", "sticky"]
    remember: dict[str, str] | UnsetType = UNSET


class RecommendationResponse(msgspec.Struct, frozen=True):
    """The answer. `recommendation_id` belongs into the events that follow from it.

    With `reason` the list is empty on purpose: show nothing. With `late` stages were left out,
    because the deadline was over: the list is less personal than it could be. `assignments` has the
    experiments that run here; `next_cursor` stands for what comes after this list, if anything
    does.
    """

    recommendation_id: str
    items: list[RecommendedItem]
    placement: str
    policy: str
    model_version: str
    session_mode: Literal["unknown", "hurried", "focused", "browsing", "returning"]
    session_mode_confidence: float
    fallback_level: Literal[
        "personalised", "session", "similar", "popular_in_category", "popular", "static"
    ]
    took_ms: float
    assignments: list[AssignmentView] = []
    explanation: Explanation | UnsetType = UNSET
    reason: Literal["suppressed"] | UnsetType = UNSET
    next_cursor: str | UnsetType = UNSET
    late: Literal[True] | UnsetType = UNSET


class RejectedEvent(msgspec.Struct, frozen=True):
    """Why one event was not accepted."""

    index: int
    code: str
    detail: str


class EventsResponse(msgspec.Struct, frozen=True):
    """What became of each event. Accepted events are on disk and count in the next answer."""

    accepted: int
    duplicates: int
    rejected: list[RejectedEvent]


class KnownInteraction(msgspec.Struct, frozen=True):
    """Something the visitor did with an item; `ts` in RFC 3339."""

    item_id: str
    event_type: str
    ts: str


class KnownPurchase(msgspec.Struct, frozen=True):
    """An item bought, how often, and when last."""

    item_id: str
    count: int
    last: str


class KnownMark(msgspec.Struct, frozen=True):
    """An item dismissed or wished for, and since when."""

    item_id: str
    since: str


class BrandAffinity(msgspec.Struct, frozen=True):
    """How the visitor stands to a brand, from -1 (against it) to 1."""

    brand: str
    score: float


class Preferences(Asked, frozen=True):
    """What the shopper wishes: how much of them may take part in answers."""

    personalize: Level


class KnownPreferences(msgspec.Struct, frozen=True):
    """What the shopper wishes, and since when; `since` is null where they never said."""

    personalize: Level
    since: str | None


class VisitorParams(Asked, frozen=True):
    """How the journal is handed over: `json` as a file to keep."""

    format: Literal["json"] | None = None


class ErasureReceipt(msgspec.Struct, frozen=True):
    """Proof of an erasure: nothing of this visitor up to `erased_at` counts any more."""

    visitor_id: str
    erased_at: str


class KnownExposure(msgspec.Struct, frozen=True):
    """An item shown in lists of ours: how many of the showings are remembered, and the last."""

    item_id: str
    count: int
    last: str


class VisitorResponse(msgspec.Struct, frozen=True):
    """What is known about a visitor, newest first. An unknown one gets the same shape, empty.

    `totals` counts events by type; `cart` holds the pieces of each item; `brand_affinity` has the
    20 strongest, whatever their sign.
    """

    visitor_id: str
    user_id: str | None
    first_seen: str | None
    last_seen: str | None
    stage: Literal["prospect", "lapsing", "first_time", "repeat", "loyal", "advocate"]
    preferences: KnownPreferences
    totals: dict[str, int]
    interactions: list[KnownInteraction]
    cart: dict[str, float]
    purchases: list[KnownPurchase]
    wish_list: list[KnownMark]
    dismissed_item_ids: list[str]
    dismissed: list[KnownMark]
    searches: list[str]
    brand_affinity: list[BrandAffinity]
    exposures: list[KnownExposure]


class LiveResponse(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"]


class ReadyResponse(msgspec.Struct, frozen=True):
    """Whether a rung of the ladder can serve, and what is wrong meanwhile."""

    status: Literal["ready", "not_ready"]
    model_version: str
    items: int
    warnings: list[str]


# What a struct's own check adds to its schema.
CHECKED = {"PriceRange": {"minProperties": 1}}


def component_schemas(types: Iterable[type], ref_template: str) -> dict[str, dict[str, Any]]:
    """JSON schemas of some structs and of all that they refer to, by name."""
    _, components = msgspec.json.schema_components(types, ref_template=ref_template)
    return {name: schema | CHECKED.get(name, {}) for name, schema in components.items()}
