"""What the durable log holds: one append-only stream of tagged records.

Each record has a schema version. Readers skip kinds and fields that they do not know and never
rewrite a segment, so unknown fields stay preserved on disk.
"""

from __future__ import annotations

import msgspec

from feature_store.events import InteractionEvent, Scalar
from recommender.terms import UNKNOWN_MODE

SCHEMA = 1
ON_RESPONSE, ON_CONFIRM = "on_response", "on_confirm"


class EventRecord(msgspec.Struct, frozen=True, omit_defaults=True, tag="event", tag_field="record"):
    """An accepted event.

    Parameters
    ----------
    received_at
        Server time of arrival, microseconds since the epoch, UTC.
    seq
        Position in the stream of this writer; a gap means a lost record.
    writer
        Name of the process stream that wrote it.
    late
        It happened more than five minutes before it arrived; see `feature_store.verdicts`.
    clamped
        Its own time lay more than five minutes in the future.
    client_ts
        The time it claimed, where that lay in the future, however little; the event's `ts` is then
        `received_at`, less a microsecond for each event behind it in the request.
    """

    event: InteractionEvent
    received_at: int
    seq: int
    writer: str
    late: bool = False
    clamped: bool = False
    client_ts: int | None = None
    schema: int = SCHEMA


class DecisionItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recommended item and the probability of that choice given the slots above.

    Parameters
    ----------
    promotion
        Name of the shop's promotion that brought it in.
    acceptance
        Predicted probability that it is taken up once it was shown; None where nothing was learnt.
    team
        Variant whose ranking it was drafted from, in an interleaved list.
    competitive
        Whether the two rankings could have filled this slot differently, in an interleaved list.
    """

    item_id: str
    slot: int
    p_slot: float
    source: str
    promotion: str | None = None
    kind: str = "item"
    acceptance: float | None = None
    team: str | None = None
    competitive: bool | None = None


class DecisionWay(msgspec.Struct, frozen=True, omit_defaults=True):
    """A suggestion where to go: a category, a search term, or (without target) the checkout."""

    kind: str
    slot: int
    p_slot: float
    target: str | None = None


class ExploreRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the policy explored; enough to replay it.

    Parameters
    ----------
    epsilon
        Probability that the exploring slot leaves the order of the ranking.
    temperature
        Of the swaps of near-ties, in units of the score; 0: none.
    rng_seed
        Of `recommender.draws`, below 2^53.
    slots
        The slots, from 1, in which chance took part: whose `p_slot` is below 1.
    gap
        How far apart the scores of near-ties may lie.
    reach
        How many candidates below the list could have been drawn.
    """

    scheme: str = "none"
    epsilon: float = 0.0
    temperature: float = 0.0
    rng_seed: int | None = None
    slots: tuple[int, ...] = ()
    gap: float = 0.0
    reach: int = 0


class AssignmentRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The arm of one experiment that an answer belongs to.

    Parameters
    ----------
    variant
        Key of the arm.
    p_arm
        Probability of that arm for a subject that takes part, at that moment; None where somebody
        else assigned it.
    bucket
        Where the subject fell, in [0, 1); None where nothing was hashed.
    seed_digest
        First 16 hex digits of the sha256 of the seed.
    reason
        Why this arm, or why none, of `recommender.assignment`.
    assigned_by
        ``service``, ``external``, ``forced`` or ``sticky``.
    unit
        Which id was hashed.
    unit_key
        Keyed pseudonym of that id, where it is not the subject of the record.
    """

    experiment: str
    phase: int
    variant: str
    in_experiment: bool
    p_arm: float | None = None
    bucket: float | None = None
    hash_version: int = 2
    seed_digest: str = ""
    reason: str = ""
    sticky: bool = False
    assigned_by: str = "service"
    unit: str = "visitor"
    unit_key: str | None = None


class DecisionRecord(
    msgspec.Struct, frozen=True, omit_defaults=True, tag="decision", tag_field="record"
):
    """One answer, written before it leaves.

    Parameters
    ----------
    decision_id
        UUIDv7; the `recommendation_id` of the answer.
    subject_key
        Keyed pseudonym of the visitor, never the raw id.
    context
        What the caller said about page and device.
    attributes_used
        What the policy knew about the shopper: counts, not contents.
    session_mode, session_mode_confidence
        Pace of the visit as told, and how sure that was; see `recommender.pace`.
    filters
        ``(name, removed)`` per rule or filter.
    candidates
        ``(item_id, score)`` of the best scored candidates.
    slate_propensity_log
        Sum of the logarithms of all ``p_slot``, of items and ways.
    ways
        Suggestions where to go; their slots are not among those of the items.
    served_level
        Rung of the fallback ladder.
    rules_version
        Version of the shop's rules that were in use.
    latency_ms
        From the first byte of the request to the answer being ready.
    fatigue
        ``(name, count)`` of what rested, capped or discounted items did: how many of the first
        ranks the discount or a cap moved; a spent budget, or ``min_gain``, with 1.
    page_key
        The same for all answers that were asked for together; None for a single one.
    changed_share
        Share of the list that differs from what anybody would have got; None where the placement
        sets no limit to it.
    drafted_with
        Version of the model whose ranking was drafted from beside that of `model_version`; None
        where the list is not interleaved.
    assignments
        The running experiments at this placement with the arm in each, controls and failed arms
        as well; and why a subject does not take part.
    qa
        Somebody tried an arm out: no analysis may count this answer.
    exposure
        ``on_response``: the answer is taken for shown; ``on_confirm``: only what an
        `ExposureRecord` confirms.
    continues
        The decision whose list this one goes on with; None for a first page.
    """

    decision_id: str
    request_id: str
    ts_server: int
    seq: int
    writer: str
    subject_key: str
    surface: str
    policy_id: str
    model_version: str
    config_digest: str
    code_version: str
    served_level: str
    items: tuple[DecisionItem, ...]
    eligible_count: int
    slate_propensity_log: float = 0.0
    subject_type: str = "visitor"
    session_key: str | None = None
    consent: bool | None = None
    context: dict[str, Scalar | tuple[str, ...]] = {}
    attributes_used: dict[str, Scalar] = {}
    session_mode: str = UNKNOWN_MODE
    session_mode_confidence: float = 0.0
    filters: tuple[tuple[str, int], ...] = ()
    candidates: tuple[tuple[str, float], ...] = ()
    explore: ExploreRecord = ExploreRecord()
    degraded_reason: str | None = None
    rules_version: str = ""
    latency_ms: float = 0.0
    qa: bool = False
    ways: tuple[DecisionWay, ...] = ()
    schema: int = SCHEMA
    fatigue: tuple[tuple[str, int], ...] = ()
    page_key: str | None = None
    changed_share: float | None = None
    assignments: tuple[AssignmentRecord, ...] = ()
    exposure: str = ON_RESPONSE
    continues: str | None = None
    drafted_with: str | None = None


class VisibleItem(msgspec.Struct, frozen=True):
    """An item that came into view."""

    item_id: str
    slot: int


class ExposureRecord(
    msgspec.Struct, frozen=True, omit_defaults=True, tag="exposure", tag_field="record"
):
    """What a client saw come into view of an answer.

    Parameters
    ----------
    exposure_id
        Made by the client; a known one is not written again.
    decision_id
        The `recommendation_id` of the answer. Whose it was stands in the decision alone.
    ts_client
        When it was seen, microseconds since the epoch, as the client says; None where it does not.
    viewport
        Width and height of the window in CSS pixels.
    """

    exposure_id: str
    decision_id: str
    items_visible: tuple[VisibleItem, ...]
    ts_server: int
    seq: int
    writer: str
    ts_client: int | None = None
    viewport: tuple[int, int] | None = None
    schema: int = SCHEMA


LogRecord = EventRecord | DecisionRecord | ExposureRecord
