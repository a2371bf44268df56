"""Ask the serving pipeline for every hold-out shopper, and count what it found.

The answers come from `recommender.pipeline.recommend`, the code path that serves. Beside the blend,
the same bundle answers with popularity alone and with each single source alone; their lists are
filled by the same ladder, so a source with few candidates is not punished for a short list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from recommender import metrics
from recommender.bundle import ModelBundle
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.terms import Float64Array
from training.dataset import moment
from training.evaluation.bootstrap import Bootstrap, Interval
from training.evaluation.report import (
    BLEND,
    POPULARITY,
    UNRANKED,
    EvaluationReport,
    SliceReport,
    VariantReport,
)
from training.evaluation.slices import Slice, is_returning, item_slices, slices_of
from training.sections import EvaluationSpec
from training.split import HoldOut

Metric = Callable[[Sequence[str], frozenset[str], int], float]
Rankings = tuple[tuple[str, ...], ...]
ByGroup = tuple[dict[str, Interval], dict[str, Interval]]

PER_USER: Mapping[str, Metric] = {
    "recall": metrics.recall,
    "ndcg": metrics.ndcg,
    "mrr": metrics.mrr,
    "hit_rate": metrics.hit_rate,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What one variant answered.

    Parameters
    ----------
    rankings
        Item ids per hold-out shopper, best first.
    scores
        Metric by name, one value per shopper, float64 (n,).
    """

    name: str
    rankings: Rankings
    scores: Mapping[str, Float64Array]


def evaluate(
    bundle: ModelBundle,
    hold_out: HoldOut,
    placement: Placement,
    spec: EvaluationSpec,
    on_variant: Callable[[str], None] = lambda _: None,
) -> EvaluationReport:
    """Evaluate a bundle on hold-out shoppers, beside popularity and each single source.

    Parameters
    ----------
    bundle
        Must know nothing of the hold-out period.
    on_variant
        Called with the name of each variant before it is asked.
    """
    variants = []
    for name, variant, place in _variants(bundle, placement):
        on_variant(name)
        variants.append(ask(name, variant, hold_out, place, spec))
    draws = Bootstrap.draw(len(hold_out), spec.bootstrap_rounds, spec.confidence, spec.seed)
    return _report(bundle, hold_out, placement, spec, variants, draws)


def ask(
    name: str,
    bundle: ModelBundle,
    hold_out: HoldOut,
    placement: Placement,
    spec: EvaluationSpec,
) -> Asked:
    """Answers of one bundle at one placement, and their scores."""
    rankings = answers(bundle, hold_out, placement, max(spec.k))
    scores = {
        f"{metric}@{k}": score_each(function, rankings, hold_out.targets, k)
        for metric, function in PER_USER.items()
        for k in spec.k
    }
    return Asked(name, rankings, scores)


def answers(bundle: ModelBundle, hold_out: HoldOut, placement: Placement, limit: int) -> Rankings:
    """Item ids for each hold-out shopper, best first, through the serving pipeline."""
    policy = TopPolicy()
    with threadpool_limits(1, "blas"):
        slates = (
            recommend(query.but(limit=limit), bundle, placement, policy)
            for query in hold_out.queries
        )
        return tuple(tuple(item.item_id for item in slate.items) for slate in slates)


def score_each(
    metric: Metric, rankings: Rankings, targets: Sequence[frozenset[str]], k: int
) -> Float64Array:
    """One value per shopper, float64 (n,); NaN where the shopper has no target."""
    pairs = zip(rankings, targets, strict=True)
    return np.array([metric(shown, wanted, k) if wanted else np.nan for shown, wanted in pairs])


def with_blend(bundle: ModelBundle, weights: Mapping[str, float]) -> ModelBundle:
    """The same bundle in memory with other source weights; its version still names the original."""
    info = replace(bundle.manifest.info, blend=dict(weights))
    return replace(bundle, manifest=replace(bundle.manifest, info=info))


def by_sources_alone(bundle: ModelBundle) -> ModelBundle:
    """The same bundle without its ranker, all sources speaking equally loudly."""
    return replace(with_blend(bundle, dict.fromkeys(bundle.sources, 1.0)), ranker=None)


def _variants(
    bundle: ModelBundle, placement: Placement
) -> list[tuple[str, ModelBundle, Placement]]:
    allowed = placement.sources or tuple(bundle.sources)
    singles = sorted({name for name in bundle.sources if name in allowed} - {POPULARITY})
    alone = by_sources_alone(bundle)
    unranked = [(UNRANKED, replace(bundle, ranker=None), placement)] if bundle.ranker else []
    return [(BLEND, bundle, placement), *unranked] + [
        (name, alone, replace(placement, sources=(name,))) for name in (POPULARITY, *singles)
    ]


def _report(
    bundle: ModelBundle,
    hold_out: HoldOut,
    placement: Placement,
    spec: EvaluationSpec,
    variants: Sequence[Asked],
    draws: Bootstrap,
) -> EvaluationReport:
    known = bundle.catalogue.ids
    groups = group_recall(variants, item_slices(hold_out, bundle.catalogue), spec, draws)
    wanted = [item_id for each in hold_out.targets for item_id in each]
    return EvaluationReport(
        model_version=bundle.version,
        placement=placement.name,
        period_start=moment(hold_out.period.start).isoformat(),
        period_end=moment(hold_out.period.end).isoformat(),
        asked=hold_out.asked,
        k=spec.k,
        confidence=spec.confidence,
        users=len(hold_out),
        users_in_period=hold_out.shoppers_in_period,
        new_users=sum(not is_returning(hold_out, i) for i in range(len(hold_out))),
        targets=len(wanted),
        unknown_targets=sum(known.index(item_id) is None for item_id in wanted),
        items=len(bundle.catalogue),
        blend_weights=dict(bundle.manifest.info.blend),
        variants=tuple(
            _variant_report(v, variants[0], bundle, hold_out, draws, groups[v.name])
            for v in variants
        ),
        slices=tuple(_slice_reports(bundle, hold_out, spec, variants, draws)),
        shown_counts={
            each.name: _curve(shown_counts(each.rankings, bundle)) for each in variants[:2]
        },
    )


def _variant_report(
    variant: Asked,
    blend: Asked,
    bundle: ModelBundle,
    hold_out: HoldOut,
    draws: Bootstrap,
    groups: ByGroup,
) -> VariantReport:
    loss: dict[str, Interval] = {}
    if variant is not blend:
        loss = {
            name: draws.interval(blend.scores[name] - values)
            for name, values in variant.scores.items()
        }
    intervals = {name: draws.interval(values) for name, values in variant.scores.items()}
    shown = beyond(variant.rankings, bundle, hold_out)
    return VariantReport(variant.name, intervals, shown, loss, *groups)


def group_recall(
    variants: Sequence[Asked], groups: Sequence[Slice], spec: EvaluationSpec, draws: Bootstrap
) -> dict[str, ByGroup]:
    """Recall of each variant in each group of targets, and the first variant's minus it, paired."""
    k = max((k for k in spec.k if k <= 20), default=spec.k[0])
    found: dict[str, ByGroup] = {each.name: ({}, {}) for each in variants}
    for group in groups:
        if not any(group.targets):
            continue
        scores = [score_each(metrics.recall, each.rankings, group.targets, k) for each in variants]
        for each, values in zip(variants, scores, strict=True):
            own, loss = found[each.name]
            own[group.name] = draws.interval(values)
            if each is not variants[0]:
                loss[group.name] = draws.interval(scores[0] - values)
    return found


def beyond(rankings: Rankings, bundle: ModelBundle, hold_out: HoldOut) -> dict[str, float]:
    """Coverage, Gini, novelty and repeat share of whole lists."""
    counts = shown_counts(rankings, bundle)
    # Plus one: an item that nobody touched is surprising, not infinitely so.
    share = bundle.catalogue.popularity.astype(np.float64) + 1
    share /= share.sum()
    index = bundle.catalogue.ids.indices
    novelties = [metrics.novelty(index(each), share, len(each)) for each in rankings if each]
    return {
        "coverage": metrics.coverage(counts),
        "gini": metrics.gini(counts),
        "novelty": float(np.mean(novelties)) if novelties else 0.0,
        "repeat_share": repeat_share(rankings, hold_out),
    }


def repeat_share(rankings: Rankings, hold_out: HoldOut) -> float:
    """Share of the shown items that the shopper had dealt with before; 0 if nothing was shown."""
    repeated = shown = 0
    for query, ranking in zip(hold_out.queries, rankings, strict=True):
        own = {interaction.item_id for interaction in (*query.history, *query.session)}
        repeated += sum(item_id in own for item_id in ranking)
        shown += len(ranking)
    return repeated / shown if shown else 0.0


def shown_counts(rankings: Rankings, bundle: ModelBundle) -> Float64Array:
    """How often each item was shown, float64 (items,)."""
    shown = bundle.catalogue.ids.indices(item_id for each in rankings for item_id in each)
    return np.bincount(shown, minlength=len(bundle.catalogue)).astype(np.float64)


def _curve(counts: Float64Array) -> tuple[int, ...]:
    return tuple(np.sort(counts)[::-1].astype(int).tolist())


def _slice_reports(
    bundle: ModelBundle,
    hold_out: HoldOut,
    spec: EvaluationSpec,
    variants: Sequence[Asked],
    draws: Bootstrap,
) -> list[SliceReport]:
    k = max((k for k in spec.k if k <= 20), default=spec.k[0])
    reports = []
    for each in slices_of(hold_out, bundle.catalogue, spec.max_categories):
        users = sum(map(bool, each.targets))
        if not users:
            continue
        for variant in variants[:2]:
            values = score_each(metrics.ndcg, variant.rankings, each.targets, k)
            interval = draws.interval(values)
            reports.append(SliceReport(each.group, each.name, variant.name, users, interval))
    return reports
