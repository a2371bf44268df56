from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.evaluation import plots
from training.evaluation.report import EvaluationReport


def axes_of(draw, report: EvaluationReport):
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(report, axes)
    return axes


def test_every_picture_is_written_and_the_same_report_gives_the_same_bytes(
    report: EvaluationReport, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    first, second = plots.draw_all(report, one), plots.draw_all(report, two)
    names = ["metric_by_k.png", "metric_by_slice.png", "popularity_curve.png", "coverage.png"]
    assert [path.name for path in first] == names
    for a, b in zip(first, second, strict=True):
        assert a.read_bytes().startswith(b"\x89PNG")
        assert a.read_bytes() == b.read_bytes()
    assert len({path.read_bytes() for path in first}) == 4


def test_metric_by_k_shows_every_variant_with_its_values(report: EvaluationReport) -> None:
    axes = axes_of(plots.metric_by_k, report)
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown == [variant.name for variant in report.variants]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["k = 1", "k = 3", "k = 5"]
    for container, variant in zip(axes.containers, report.variants, strict=True):
        drawn = container.lines[0].get_ydata()
        assert list(drawn) == [variant.metrics[f"ndcg@{k}"].mean for k in report.k]


def test_slices_are_labelled_with_how_many_shoppers(report: EvaluationReport) -> None:
    axes = axes_of(plots.metric_by_slice, report)
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert "shopper: new  (n = 1)" in labels
    assert len(labels) == len({(each.group, each.name) for each in report.slices})
    assert axes.get_xlabel() == "nDCG@5"


def test_coverage_is_written_at_each_bar(report: EvaluationReport) -> None:
    axes = axes_of(plots.coverage, report)
    texts = [text.get_text() for text in axes.texts]
    assert texts == [f"{100 * variant.beyond['coverage']:.1f} %" for variant in report.variants]


def test_the_popularity_curve_rises_to_all_positions(report: EvaluationReport) -> None:
    axes = axes_of(plots.popularity_curve, report)
    for line in axes.get_lines()[:2]:
        drawn = list(line.get_ydata())
        assert drawn == sorted(drawn)
        assert drawn[0] == 0
        assert drawn[-1] == pytest.approx(100)


def test_a_report_without_slices_or_answers_is_drawn_as_well(
    report: EvaluationReport, tmp_path: Path
) -> None:
    bare = msgspec.structs.replace(
        report, slices=(), shown_counts={"blend": (0, 0), "popularity": (0, 0)}
    )
    assert len(plots.draw_all(bare, tmp_path)) == 4
