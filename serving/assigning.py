"""Which arms a request is in, as the records of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
from msgspec import UNSET

from feature_store.experiment_spec import DRAFTED
from feature_store.records import AssignmentRecord
from recommender.assignment import (
    EXTERNAL,
    FORCED,
    NOT_ELIGIBLE,
    NOT_GIVEN,
    NOT_PREPARED,
    NOT_RUNNING,
    REMEMBERED,
    Assignment,
    Subject,
    assign,
    given,
    is_prepared,
    outside,
    told,
)
from serving.errors import Problem
from serving.experiment_source import LiveExperiment
from serving.schemas import AssignmentView, Context

ATTRIBUTES = ("page_type", "device", "locale", "currency", "category")
Pseudonym = Callable[[str, str], str]
SERVICE = "service"
_ASSIGNED_BY = {EXTERNAL: EXTERNAL, FORCED: FORCED, REMEMBERED: "sticky"}


def attributes_of(context: Context) -> dict[str, object]:
    """What an experiment's audience may ask for."""
    return {name: getattr(context, name) for name in ATTRIBUTES}


def subject_of(
    ids: Mapping[str, str | None],
    remembered: Mapping[str, str],
    *,
    is_eligible: bool = True,
    forced: Mapping[str, str] | None = None,
) -> Subject:
    """The subject of a request. What is remembered was said of these ids by the caller."""
    known = {unit: value for unit, value in ids.items() if value}
    notes = dict.fromkeys(known.items(), remembered) if remembered else {}
    return Subject(known, is_eligible, forced or {}, bool(forced), notes)


def assigned(
    live: LiveExperiment,
    subject: Subject,
    outer: Mapping[str, str],
    attributes: Mapping[str, object],
    known: Mapping[str, LiveExperiment],
) -> Assignment:
    """The arm of a subject; both arms, where they are interleaved and none of them is forced.

    Parameters
    ----------
    attributes
        Of page and device: what an experiment's audience may ask for.
    known
        All experiments, for those that others wait for; they do not lead back to this one, see
        `feature_store.experiment_parents`.
    """
    if live.experiment.prerequisites:
        keys = {each.experiment for each in live.experiment.prerequisites} & known.keys()
        parents = {
            key: told(assigned(known[key], subject, outer, attributes, known)) for key in keys
        }
        subject = replace(subject, parents=parents)
    if not live.spec.is_for(attributes):
        subject = replace(subject, is_eligible=False)
    found = _hashed_or_given(live, subject, outer)
    is_in_both = live.spec.is_interleaved and found.in_experiment and found.reason != FORCED
    return replace(found, variant=DRAFTED, probability=1.0) if is_in_both else found


def _hashed_or_given(
    live: LiveExperiment, subject: Subject, outer: Mapping[str, str]
) -> Assignment:
    """The arm of a subject; that which somebody else gave it, where they gave it one."""
    experiment, variant = live.experiment, outer.get(live.key)
    if live.key in subject.forced or (variant is None and live.spec.assigner == SERVICE):
        return assign(experiment, subject)
    if not experiment.is_running:
        return outside(experiment, NOT_RUNNING)
    if not subject.is_eligible:
        return outside(experiment, NOT_ELIGIBLE)
    if not is_prepared(experiment, subject):
        return outside(experiment, NOT_PREPARED)
    if variant is None:
        return outside(experiment, NOT_GIVEN)
    return given(experiment, variant, EXTERNAL)


def check_arms(named: Mapping[str, str], known: Mapping[str, LiveExperiment], where: str) -> None:
    """Raise `Problem` 422 for an experiment or an arm that does not exist."""
    for key, variant in named.items():
        if (live := known.get(key)) is None:
            shown = ", ".join(sorted(known)) or "none"
            detail = f"{where}: no experiment {key!a}; there are: {shown}."
            raise Problem(422, "unknown_experiment", detail)
        if variant not in live.experiment.arms:
            shown = ", ".join(live.experiment.arms)
            detail = f"{where}: experiment {key} has no arm {variant!a}; accepted: {shown}."
            raise Problem(422, "unknown_arm", detail)


def record_of(found: Assignment, subject_type: str, pseudonym: Pseudonym) -> AssignmentRecord:
    """The record of an assignment in an answer about a subject of some type."""
    experiment, unit = found.experiment, found.unit
    is_other = found.in_experiment and unit is not None and unit[0] != subject_type
    return AssignmentRecord(
        experiment=experiment.key,
        phase=experiment.phase,
        variant=found.variant,
        in_experiment=found.in_experiment,
        p_arm=found.probability,
        bucket=found.bucket,
        hash_version=experiment.hash_version,
        seed_digest=experiment.seed_digest,
        reason=found.reason,
        sticky=found.is_sticky,
        assigned_by=_ASSIGNED_BY.get(found.reason, SERVICE),
        unit=unit[0] if unit else experiment.unit,
        unit_key=pseudonym(*unit) if is_other and unit else None,
    )


def with_unit(
    record: AssignmentRecord,
    ids: Mapping[str, str | None],
    subject_type: str,
    pseudonym: Pseudonym,
) -> AssignmentRecord:
    """A record that went out without its pseudonym, with it again."""
    value = ids.get(record.unit)
    by_hash = record.in_experiment and record.bucket is not None
    if not by_hash or value is None or record.unit == subject_type:
        return record
    return msgspec.structs.replace(record, unit_key=pseudonym(record.unit, value))


def assignment_view(record: AssignmentRecord, found: Assignment | None = None) -> AssignmentView:
    """What the caller sees of an assignment, and of what is to be remembered of it."""
    kept = None if found is None else found.to_remember
    return AssignmentView(
        record.experiment,
        record.variant,
        record.in_experiment,
        record.reason,
        record.bucket,
        record.hash_version,
        record.phase,
        record.assigned_by,  # type: ignore[arg-type]
        UNSET if kept is None else {kept[1]: kept[2]},
    )
