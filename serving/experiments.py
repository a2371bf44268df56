"""The part of an answer that experiments decide: model, placement, and what the record says of it.

Where nothing is asked for and no experiment runs at the placement, this costs one check.
"""

from __future__ import annotations

import dataclasses

import msgspec
from msgspec.structs import replace

from feature_store.experiment_spec import DRAFTED, ArmSpec
from feature_store.records import AssignmentRecord
from recommender.assignment import FORCED
from recommender.errors import ConfigError
from recommender.interleaving import START, DraftState
from recommender.placements import Placement
from recommender.terms import OFF
from serving.asker import Asker
from serving.assigning import (
    assigned,
    assignment_view,
    attributes_of,
    check_arms,
    record_of,
    subject_of,
    with_unit,
)
from serving.bundle_source import ServingModel
from serving.cursor import (
    MOST_SHOWN,
    Continuation,
    check_same,
    expired,
    question_digest,
    seal,
    split_by_model,
    subject_digest,
    unseal,
)
from serving.errors import Problem
from serving.exchange import Exchange
from serving.experiment_source import LiveExperiment, LiveExperiments
from serving.schemas import AssignmentView, RecommendationRequest
from serving.security import ADMIN
from serving.subjects import subject_key

ARM_FAILED = "arm_not_loaded"
ArmOf = tuple[str, ArmSpec]


class Draft(msgspec.Struct, frozen=True):
    """The other arm of an interleaving, and where its draft stands.

    Parameters
    ----------
    names
        Keys of the arms: the entry's own, this one.
    decision_id
        Of the first page; None where this is it.
    """

    names: tuple[str, str]
    placement: Placement
    model: ServingModel
    state: DraftState = START
    decision_id: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """How a request enters the pipeline.

    Parameters
    ----------
    failure
        Why an arm could not be given as it is meant; its requests stay in it all the same.
    qa
        An arm is tried out.
    continues
        What an earlier page handed on.
    draft
        What the list is interleaved with.
    """

    placement: Placement
    asker: Asker
    records: tuple[AssignmentRecord, ...] = ()
    views: tuple[AssignmentView, ...] = ()
    failure: str | None = None
    qa: bool = False
    continues: Continuation | None = None
    draft: Draft | None = None

    @property
    def shown(self) -> frozenset[str]:
        """Items of earlier pages."""
        if self.continues is None:
            return frozenset()
        return self.continues.shown_items(self.asker.model.bundle.catalogue)


class _Change(msgspec.Struct, frozen=True):
    """What arms make of placement and model."""

    placement: Placement
    model: ServingModel
    failure: str | None = None


def entered(
    exchange: Exchange, request: RecommendationRequest, placement: Placement, asker: Asker
) -> Entry:
    """Assign a request to the experiments that run at its placement, and do what the arms say.

    Raises
    ------
    Problem
        403: arms may not be forced with this key. 422: an arm or experiment does not exist, or the
        cursor is not one of this question. 410: the list cannot be continued as it began.
    """
    live = exchange.state.experiments.current
    if request.cursor is not None:
        return _continued(exchange, request, placement, asker)
    if not live.by_key and not request.assignments and not request.force:
        return Entry(placement, asker)
    if request.force and ADMIN not in exchange.caller.scopes:
        raise Problem(403, "force_not_allowed", "'force' is for admin keys only.")
    check_arms(request.assignments, live.by_key, "assignments")
    check_arms(request.force, live.by_key, "force")
    taking_part = _experiments_at(placement.name, live, request)
    if not taking_part:
        return Entry(placement, asker, qa=bool(request.force))
    return _assigned_entry(exchange, request, Entry(placement, asker), taking_part)


def _assigned_entry(
    exchange: Exchange,
    request: RecommendationRequest,
    entry: Entry,
    experiments: list[LiveExperiment],
) -> Entry:
    subject = subject_of(
        _ids(request),
        request.remembered,
        is_eligible=_may_take_part(request, entry.asker),
        forced=request.force,
    )
    attributes = attributes_of(request.context)
    known, given = exchange.state.experiments.current.by_key, request.assignments
    found = [assigned(each, subject, given, attributes, known) for each in experiments]
    kind, _ = subject_key(request, exchange.state.pseudonyms)
    pairs = list(zip(experiments, found, strict=True))
    records = tuple(record_of(each, kind, exchange.state.pseudonyms.of) for each in found)
    views = tuple(assignment_view(r, each) for r, each in zip(records, found, strict=True))
    arms = [
        (each.key, each.spec.arm(one.variant))
        for each, one in pairs
        if one.in_experiment and one.variant != DRAFTED
    ]
    drafting = [each for each, one in pairs if one.variant == DRAFTED]
    assigned_entry = replace(entry, records=records, views=views, qa=bool(request.force))
    return _with_arms(exchange, assigned_entry, arms, drafting)


def _with_arms(
    exchange: Exchange, entry: Entry, arms: list[ArmOf], drafting: list[LiveExperiment]
) -> Entry:
    """The entry as arms want it; of an interleaving as its first arm does, beside its second."""
    base, model = entry.placement, entry.asker.model
    first = [(each.key, each.spec.arms[0]) for each in drafting]
    change = _changed(exchange, base, model, [*arms, *first])
    changed = replace(
        entry,
        placement=change.placement,
        asker=replace(entry.asker, model=change.model),
        failure=change.failure,
    )
    if not drafting:
        return changed
    (live,) = drafting  # two of one placement may not run, see `feature_store.experiment_overlap`
    own, other = live.spec.arms
    beside = _changed(exchange, base, model, [*arms, (live.key, other)])
    if beside.failure:
        return replace(changed, failure=beside.failure)
    return replace(changed, draft=Draft((own.key, other.key), beside.placement, beside.model))


def _ids(request: RecommendationRequest) -> dict[str, str | None]:
    return {
        "visitor": request.visitor_id,
        "user": request.user_id,
        "session": request.session_id,
    }


def _experiments_at(
    placement: str, live: LiveExperiments, request: RecommendationRequest
) -> list[LiveExperiment]:
    running = live.running.get(placement, ())
    named = request.assignments.keys() | request.force.keys()
    if not named:
        return list(running)
    others = (each for key, each in live.by_key.items() if key in named)
    also = {each.key: each for each in others if each.spec.runs_at(placement)}
    return list(({each.key: each for each in running} | also).values())


def _may_take_part(request: RecommendationRequest, asker: Asker) -> bool:
    """Nobody who does not want to be known, and nobody of whom that is not known."""
    preference = asker.visitor.preference
    wishes = OFF in (request.level, preference.level if preference else None)
    return not wishes and asker.failure is None


def _changed(
    exchange: Exchange, placement: Placement, model: ServingModel, arms: list[ArmOf]
) -> _Change:
    """What the arms change; one that cannot be had changes nothing, and says so."""
    experiments, failure = exchange.state.experiments, None
    chosen = model
    for key, arm in arms:
        own = experiments.models.model((key, arm.key), arm, model)
        if own is None:
            failure = ARM_FAILED
        elif own is not model:
            chosen = own
    try:
        placement = experiments.current.placement(placement, arms)
    except ConfigError:
        failure = ARM_FAILED
    return _Change(placement, chosen, failure)


def _continued(
    exchange: Exchange, request: RecommendationRequest, placement: Placement, asker: Asker
) -> Entry:
    """The next page of a list: the arms and the model of the first one, or a refusal."""
    state = exchange.state
    before = unseal(request.cursor or "", state.pseudonyms.secret)
    kind, subject = subject_key(request, state.pseudonyms)
    check_same(before, request, placement.name, subject)
    ids = _ids(request)
    records = tuple(with_unit(each, ids, kind, state.pseudonyms.of) for each in before.assignments)
    in_force = [
        (record, _alive(record, state.experiments.current))
        for record in before.assignments
        if record.in_experiment
    ]
    entry = _with_arms(
        exchange,
        Entry(
            placement,
            asker,
            records,
            tuple(assignment_view(record) for record in records),
            qa=before.qa,
            continues=before,
        ),
        [(e.key, e.spec.arm(r.variant)) for r, e in in_force if r.variant != DRAFTED],
        [each for record, each in in_force if record.variant == DRAFTED],
    )
    model = entry.asker.model
    if model.version != before.model_version:
        other = state.experiments.models.loaded(before.model_version)
        if other is None:
            raise expired("The model of this list is not in use any more.")
        model = other
    draft = entry.draft
    if draft is not None and before.draft is not None:
        stands = DraftState(*before.draft)
        draft = replace(draft, state=stands, decision_id=before.decision_id)
    return replace(
        entry,
        placement=dataclasses.replace(entry.placement, navigation=0),
        asker=replace(asker, model=model),
        draft=draft,
    )


def _alive(record: AssignmentRecord, live: LiveExperiments) -> LiveExperiment:
    each = live.by_key.get(record.experiment)
    is_alive = each is not None and (each.spec.is_running or record.reason == FORCED)
    if each is None or not is_alive or record.variant not in (DRAFTED, *each.experiment.arms):
        raise expired(f"The experiment {record.experiment} does not run any more.")
    return each


def cursor_after(
    exchange: Exchange,
    request: RecommendationRequest,
    entry: Entry,
    decision_id: str,
    shown: list[str],
    draft: DraftState,
) -> str | None:
    """The word for the next page; None where too much was shown to go on."""
    before, model = entry.continues, entry.asker.model
    gone = [*entry.shown, *request.exclude_item_ids, *shown]
    indices, ids = split_by_model(gone, model.bundle.catalogue)
    _, subject = subject_key(request, exchange.state.pseudonyms)
    after = Continuation(
        before.decision_id if before else decision_id,
        request.placement,
        subject_digest(subject),
        question_digest(request),
        model.version,
        indices,
        ids,
        tuple([replace(each, unit_key=None) for each in entry.records]),
        entry.qa,
        None if entry.draft is None else _note(draft),
    )
    return None if after.shown > MOST_SHOWN else seal(after, exchange.state.pseudonyms.secret)


def _note(draft: DraftState) -> tuple[int, int | None, bool, bool]:
    """Where a draft stands; what it has taken is not shown again anyway."""
    return draft.rounds, draft.waiting, draft.competitive, draft.is_told
