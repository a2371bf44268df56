from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from recommender.bundle import ModelBundle, bundle_of
from tests.training.conftest import Trial
from training.evaluation.bootstrap import Interval
from training.evaluation.report import EvaluationReport, VariantReport
from training.gate import GateCase, GateReport, judge
from training.gate_evidence import Evidence, examine, overlap, popularity_ndcg
from training.sections import EvaluationSpec, GateSpec

LIMITS = GateSpec(min_users=3, min_coverage=0.1, min_distinct_lists=0.2)
ARRAYS = dict[str, npt.NDArray[np.generic]]


def _evidence(bundle: ModelBundle, trial: Trial) -> Evidence:
    return examine(bundle, trial.exam.test, trial.exam.placement, trial.exam.k)


def _case(trial: Trial, judged: ModelBundle, served: ModelBundle) -> GateCase:
    exam = trial.exam
    return GateCase(
        _evidence(judged, trial),
        _evidence(served, trial),
        popularity_ndcg(trial.judged, exam.test, exam.placement, exam.k),
        champion=_evidence(trial.judged, trial),
        champion_served=_evidence(trial.served, trial),
        champion_how="refitted",
        report=trial.trained.report,
    )


def _judge(case: GateCase, limits: GateSpec = LIMITS) -> GateReport:
    return judge(case, limits, EvaluationSpec(bootstrap_rounds=100))


def _refused(report: GateReport) -> set[str]:
    return {each.name for each in report.conditions if not each.passed}


def test_a_good_model_passes_every_condition(trial: Trial) -> None:
    report = _judge(_case(trial, trial.judged, trial.served))
    assert report.passed, report.reasons
    assert report.reasons == ()
    assert {each.name for each in report.conditions} == {
        "finite",
        "users",
        "coverage",
        "distinct_lists",
        "flat_lists",
        "bundle_mb",
        "latency_p95_ms",
        "ndcg",
        "refit_ndcg",
        "gain_over_popularity_low",
        "ndcg_against_champion",
        "overlap_at_10",
        "middle_recall_gain_high",
        "tail_recall_gain_high",
        "gini_gain",
    }


# ---- rare items -------------------------------------------------------------------------


def _report(loss: float, gini: float) -> EvaluationReport:
    """A blend that loses so much of the tail recall 0.2 of the best single source."""
    certain = lambda value: Interval(value, value - 0.01, value + 0.01)  # noqa: E731
    blend = VariantReport("blend", {"ndcg@10": certain(0.3)}, {"gini": gini}, groups={})
    best = VariantReport(
        "als",
        {"ndcg@10": certain(0.25)},
        {"gini": 0.5},
        groups={"middle": certain(0.3), "tail": certain(0.2)},
        group_loss={"middle": certain(0.1), "tail": certain(-loss)},
    )
    weak = VariantReport("popularity", {"ndcg@10": certain(0.1)}, {"gini": 0.9})
    parts = {"k": (10,), "variants": (blend, weak, best), "blend_weights": {}, "slices": ()}
    texts = dict.fromkeys(("model_version", "placement", "period_start", "period_end", "asked"), "")
    sizes = ("users", "users_in_period", "new_users", "targets", "unknown_targets", "items")
    numbers = dict.fromkeys(sizes, 10)
    return EvaluationReport(
        **texts,
        **numbers,
        **parts,
        confidence=0.95,
        shown_counts={},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("loss", "gini", "refused"),
    [
        (0.0, 0.5, set()),
        (0.029, 0.64, set()),
        (0.031, 0.64, {"tail_recall_gain_high"}),
        (0.0, 0.66, {"gini_gain"}),
    ],
)
def test_a_blend_that_buries_rare_items_is_refused(
    trial: Trial, loss: float, gini: float, refused: set[str]
) -> None:
    """A tenth of 0.2 may go, and the interval's top is 0.01 above the loss."""
    case = replace(_case(trial, trial.judged, trial.served), report=_report(loss, gini))
    limits = replace(LIMITS, max_rare_loss=0.1, max_gini_gain=0.15)
    assert _refused(_judge(case, limits)) == refused
    assert not _refused(_judge(case, replace(LIMITS, max_rare_loss=1, max_gini_gain=1)))


# ---- mutants: each is refused, whether it is the judged or the served one ---------------


def _with_arrays(bundle: ModelBundle, change: Callable[[ARRAYS], None]) -> ModelBundle:
    arrays = dict(bundle.arrays)
    change(arrays)
    return bundle_of(arrays, bundle.manifest)


def _with_blend(bundle: ModelBundle, blend: dict[str, float]) -> ModelBundle:
    info = replace(bundle.manifest.info, blend=blend)
    return replace(bundle, manifest=replace(bundle.manifest, info=info))


def _popular_only(bundle: ModelBundle) -> ModelBundle:
    return replace(_with_blend(bundle, {"popularity": 1.0}), ranker=None)


def _constant(bundle: ModelBundle) -> ModelBundle:
    """Every score is the same: factors and neighbours that say nothing, and no trees."""

    def change(arrays: ARRAYS) -> None:
        for name in arrays:
            if name.endswith("_idx"):
                arrays[name] = np.full_like(arrays[name], -1)
        arrays["item_factors"] = np.full_like(arrays["item_factors"], 0.1)

    return replace(_with_blend(_with_arrays(bundle, change), {"als": 1.0}), ranker=None)


def _shuffled_ids(bundle: ModelBundle) -> ModelBundle:
    """Right numbers under the wrong names."""
    order = np.random.default_rng(5).permutation(len(bundle.catalogue))

    def change(arrays: ARRAYS) -> None:
        for name, array in arrays.items():
            if name.startswith(("item_factors", "neighbours_")) and name.endswith("_idx"):
                arrays[name] = np.where(array >= 0, order[array], -1).astype(np.int32)[order]
            elif name.startswith(("item_factors", "neighbours_")):
                arrays[name] = array[order]

    blend = {name: 1.0 for name in bundle.sources if name not in {"returns", "popularity"}}
    return _with_blend(_with_arrays(bundle, change), blend)


def _not_a_number(bundle: ModelBundle) -> ModelBundle:
    factors = np.array(bundle.arrays["item_factors"])
    factors[0, 0] = np.nan
    # Loading would refuse it already: the gate is a second lock.
    return replace(bundle, arrays={**bundle.arrays, "item_factors": factors})


MUTANTS = [_popular_only, _constant, _shuffled_ids, _not_a_number]


@pytest.mark.parametrize("mutate", MUTANTS)
def test_a_mutant_that_would_serve_is_refused(
    mutate: Callable[[ModelBundle], ModelBundle], trial: Trial
) -> None:
    report = _judge(_case(trial, trial.judged, mutate(trial.served)))
    assert not report.passed


# Ids that were shuffled before the first model was fitted look like a shop without taste: only a
# champion, or a floor in `gate.min_ndcg`, can tell.
@pytest.mark.parametrize("mutate", [_popular_only, _constant, _not_a_number])
def test_a_mutant_recipe_is_refused_even_without_a_champion(
    mutate: Callable[[ModelBundle], ModelBundle], trial: Trial
) -> None:
    case = _case(trial, mutate(trial.judged), mutate(trial.served))
    report = _judge(replace(case, champion=None, champion_served=None))
    assert not report.passed


def test_each_mutant_is_refused_for_its_own_reason(trial: Trial) -> None:
    refused = {
        mutate.__name__: _refused(_judge(_case(trial, mutate(trial.judged), mutate(trial.served))))
        for mutate in MUTANTS
    }
    assert {"distinct_lists", "gain_over_popularity_low"} <= refused["_popular_only"]
    assert {"flat_lists", "distinct_lists"} & refused["_constant"]
    assert {"ndcg_against_champion", "overlap_at_10"} & refused["_shuffled_ids"]
    assert "finite" in refused["_not_a_number"]


def test_many_strangers_do_not_make_a_model_look_the_same_for_everyone(trial: Trial) -> None:
    """Nothing is known of most visitors of a shop: they all get what is popular."""
    test = trial.exam.test
    strangers = 40 * len(test)
    stranger = test.queries[0].but(history=(), session=(), cart_items=())
    crowd = replace(
        test,
        queries=(*test.queries, *[stranger] * strangers),
        targets=(*test.targets, *[test.targets[0]] * strangers),
        shopper_ids=(*test.shopper_ids, *map(str, range(strangers))),
    )
    among_few, among_many, alone = (
        examine(trial.served, each, trial.exam.placement, trial.exam.k)
        for each in (test, crowd, replace(crowd, queries=(stranger,) * len(crowd)))
    )
    assert among_few.distinct_lists == among_many.distinct_lists > 0.2
    assert alone.distinct_lists == 0


def test_a_served_model_worse_than_the_judged_one_is_refused(trial: Trial) -> None:
    report = _judge(_case(trial, trial.judged, _popular_only(trial.served)))
    assert "refit_ndcg" in _refused(report)


# ---- single conditions, on made-up evidence -----------------------------------------


def _made_up(ndcg: float = 0.5, **changes: object) -> Evidence:
    rankings = tuple(tuple(f"{user}-{i}" for i in range(10)) for user in range(20))
    given: dict[str, object] = {
        "bundle_version": "0" * 16,
        "is_finite": True,
        "rankings": rankings,
        "ndcg": np.full(20, ndcg),
        "coverage": 0.5,
        "distinct_lists": 1.0,
        "flat_lists": 0.0,
        "megabytes": 1.0,
        "latency_ms": 1.0,
    }
    return Evidence(**(given | changes))  # type: ignore[arg-type]


def _made_up_case(**changes: object) -> GateCase:
    given: dict[str, object] = {
        "judged": _made_up(),
        "served": _made_up(),
        "popularity": np.full(20, 0.1),
        "champion": _made_up(),
        "champion_served": _made_up(),
    }
    return GateCase(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "limits", "refused"),
    [
        ({}, {}, set()),
        ({}, {"min_users": 21}, {"users"}),
        ({"judged": _made_up(0.3)}, {"min_ndcg": 0.31}, {"ndcg", "ndcg_against_champion"}),
        ({"champion": _made_up(0.52)}, {"max_ndcg_loss": 0.05}, set()),
        ({"champion": _made_up(0.53)}, {"max_ndcg_loss": 0.05}, {"ndcg_against_champion"}),
        ({"served": _made_up(0.4)}, {}, {"refit_ndcg"}),
        ({"served": _made_up(coverage=0.05)}, {}, {"coverage"}),
        ({"served": _made_up(distinct_lists=0.1)}, {}, {"distinct_lists"}),
        ({"served": _made_up(flat_lists=0.6)}, {}, {"flat_lists"}),
        ({"served": _made_up(megabytes=11.0)}, {"max_bundle_mb": 10.0}, {"bundle_mb"}),
        ({"served": _made_up(latency_ms=11.0)}, {"max_latency_ms": 10.0}, {"latency_p95_ms"}),
        ({"popularity": np.full(20, 0.5)}, {}, {"gain_over_popularity_low"}),
        ({"popularity": np.full(20, 0.5)}, {"must_beat_popularity": False}, set()),
        ({"served": _made_up(rankings=(("x",),) * 20)}, {}, {"overlap_at_10"}),
        ({}, {"max_overlap": 0.99}, {"overlap_at_10"}),
        ({"champion": None, "champion_served": None, "served": _made_up()}, {}, set()),
    ],
)
def test_each_condition_trips_alone(
    changes: dict[str, object], limits: dict[str, object], refused: set[str]
) -> None:
    report = _judge(_made_up_case(**changes), replace(LIMITS, **limits))  # type: ignore[arg-type]
    assert _refused(report) == refused


def test_the_report_says_value_and_limit_of_every_condition() -> None:
    report = _judge(_made_up_case(served=_made_up(coverage=0.05)))
    assert report.reasons == ("coverage is 0.05; accepted: >= 0.1",)
    assert report.tags["gate"] == "refused"
    assert report.tags["gate.coverage"] == "0.05 (>= 0.1): refused"
    assert report.metrics["gate_coverage"] == 0.05
    assert len(report.summary["conditions"]) == len(report.conditions)  # type: ignore[arg-type]


def test_overlap_counts_common_items_of_the_first_k() -> None:
    one = (("a", "b", "c"), ("a",), ())
    other = (("c", "d", "e"), ("a",), ())
    assert overlap(one, other) == pytest.approx((1 / 3 + 1 + 1) / 3)
    assert overlap(one, other, k=2) == pytest.approx((0 + 1 + 1) / 3)


def test_latency_is_measured_per_answer(trial: Trial) -> None:
    ticks = iter(np.arange(10_000) * 0.003)
    exam = trial.exam
    found = examine(trial.served, exam.test, exam.placement, 5, timer=lambda: float(next(ticks)))
    assert found.latency_ms == pytest.approx(3.0)
