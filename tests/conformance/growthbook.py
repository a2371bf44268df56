"""What the GrowthBook vectors say, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from recommender.assignment import Assignment, Subject, Unit, assign
from recommender.experiment import BucketFilter, Experiment, Namespace, Prerequisite, Sticky
from recommender.targeting import meets

FILES = {
    "GrowthBook 0.8.0": "cases-spec-0.8.0.json",
    "GrowthBook 0.7.1": "cases-spec-0.7.1-python-sdk.json",
}


def text(value: object) -> str:
    """An id as the SDKs hash it."""
    return "" if value is None else str(value)


def experiment_of(raw: Mapping[str, Any], is_enabled: bool = True) -> Experiment:
    """An experiment, or a rule of a feature, as one of ours."""
    count, metas = len(raw["variations"]), raw.get("meta", [])
    arms = tuple(metas[i]["key"] if metas else str(i) for i in range(count))
    forced = raw.get("force")
    namespace = raw.get("namespace")
    weights = raw.get("weights") or ()
    return Experiment(
        key=raw["key"],
        arms=arms,
        seed=raw.get("seed", raw["key"]),
        unit=raw.get("hashAttribute", "id"),
        fallback_unit=raw.get("fallbackAttribute"),
        hash_version=raw.get("hashVersion", 1),
        status="running" if is_enabled and raw.get("active", True) else "paused",
        weights=tuple(weights),
        coverage=raw.get("coverage", 1.0),
        ranges=tuple(tuple(each) for each in raw.get("ranges", ())),
        namespace=Namespace(*namespace) if namespace else None,
        filters=tuple(_filter(each) for each in raw.get("filters", ())),
        sticky=None
        if raw.get("disableStickyBucketing")
        else Sticky(raw.get("bucketVersion", 0), raw.get("minBucketVersion", 0)),
        forced_arm=None if forced is None else str(forced),
        prerequisites=tuple(
            Prerequisite(each["id"], each["condition"]) for each in raw.get("parentConditions", ())
        ),
    )


def subject_of(
    context: Mapping[str, Any], remembered: Mapping[Unit, Mapping[str, str]] | None = None
) -> Subject:
    """The subject of a context; what its address forces counts as forced.

    Features are known as far as they have one value for all: what prerequisites ask for.
    """
    query = parse_qs(urlsplit(context.get("url", "")).query)
    forced = context.get("forcedVariations", {}) | {key: values[0] for key, values in query.items()}
    return Subject(
        {name: text(value) for name, value in context.get("attributes", {}).items()},
        forced={key: str(variation) for key, variation in forced.items()},
        is_in_test_mode=context.get("qaMode", False),
        remembered=remembered or {},
        parents={
            name: {"value": each["defaultValue"]}
            for name, each in context.get("features", {}).items()
            if "defaultValue" in each and "rules" not in each
        },
    )


def is_eligible(context: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    """Whether the attributes of a context meet the condition of an experiment."""
    groups = context.get("savedGroups", {})
    return meets(context.get("attributes", {}), raw.get("condition", {}), groups)


def run(context: Mapping[str, Any], raw: Mapping[str, Any]) -> list[object]:
    """Value, whether the subject takes part, whether a hash decided: what a run vector expects."""
    experiment = experiment_of(raw, context.get("enabled", True))
    subject = replace(subject_of(context), is_eligible=is_eligible(context, raw))
    found = assign(experiment, subject)
    value = raw["variations"][experiment.arms.index(found.variant)]
    return [value, found.in_experiment, found.is_hash_used]


def stick(
    context: Mapping[str, Any], documents: list[Mapping[str, Any]], feature: str
) -> tuple[dict[str, object] | None, dict[str, dict[str, str]]]:
    """Result of the experiment of a feature, None where nobody takes part, and the notes after."""
    (rule,) = context["features"][feature]["rules"]
    raw = {"key": feature} | rule
    notes: dict[Unit, dict[str, str]] = {
        (each["attributeName"], each["attributeValue"]): dict(each["assignments"])
        for each in documents
    }
    subject = replace(subject_of(context, notes), is_eligible=is_eligible(context, raw))
    found = assign(experiment_of(raw), subject)
    if (kept := found.to_remember) is not None:
        unit, key, arm = kept
        notes.setdefault(unit, {})[key] = arm
    after = {f"{name}||{value}": each for (name, value), each in notes.items()}
    return (_result(found, raw, feature) if found.in_experiment else None), after


def _result(found: Assignment, raw: Mapping[str, Any], feature: str) -> dict[str, object]:
    assert found.unit is not None
    index = found.experiment.arms.index(found.variant)
    return {
        "bucket": found.bucket,
        "featureId": feature,
        "hashAttribute": found.unit[0],
        "hashUsed": found.is_hash_used,
        "hashValue": found.unit[1],
        "inExperiment": found.in_experiment,
        "key": found.variant,
        "stickyBucketUsed": found.is_sticky,
        "value": raw["variations"][index],
        "variationId": index,
    }


def _filter(raw: Mapping[str, Any]) -> BucketFilter:
    ranges = tuple(tuple(each) for each in raw["ranges"])
    return BucketFilter(raw["seed"], ranges, raw.get("attribute"), raw.get("hashVersion", 2))
