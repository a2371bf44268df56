from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.evaluation.report import EvaluationReport


def test_json_is_read_back_as_it_was(report: EvaluationReport, tmp_path: Path) -> None:
    paths = report.save(tmp_path)
    assert [path.name for path in paths] == ["evaluation.json", "evaluation.md"]
    assert EvaluationReport.from_json(paths[0].read_bytes()) == report
    plain = json.loads(paths[0].read_text())
    assert plain["variants"][0]["name"] == "blend"


def test_markdown_has_every_variant_and_slice(report: EvaluationReport) -> None:
    text = report.to_markdown()
    for variant in report.variants:
        assert f"| {variant.name} |" in text
    for each in report.slices:
        assert f"| {each.group} | {each.name} | {each.users} |" in text
    assert "5 of 6 shoppers" in text
    assert "14.3% of them items that the model could not know" in text
    blend = report.variant("blend").metrics["ndcg@5"]
    assert f"{blend.mean:.4f} [{blend.low:.4f}, {blend.high:.4f}]" in text
    loss = report.variant("popularity").loss["ndcg@5"]
    assert f"{loss.mean:+.4f} [{loss.low:+.4f}, {loss.high:+.4f}]" in text


def test_every_table_row_has_the_columns_of_its_header(report: EvaluationReport) -> None:
    lines = report.to_markdown().splitlines()
    tables = [line.count("|") for line in lines if line.startswith("|")]
    assert len(tables) > 20
    width = None
    for line in lines:
        if not line.startswith("|"):
            width = None
            continue
        width = width or line.count("|")
        assert line.count("|") == width


def test_flat_metrics_name_the_blend_without_prefix(report: EvaluationReport) -> None:
    flat = report.metrics
    assert flat["ndcg_at_5"] == report.variant("blend").metrics["ndcg@5"].mean
    assert flat["popularity_ndcg_at_5"] == report.variant("popularity").metrics["ndcg@5"].mean
    assert flat["coverage"] == report.variant("blend").beyond["coverage"]
    assert all(isinstance(value, float) for value in flat.values())


def test_the_headline_is_the_largest_cut_off_up_to_20(report: EvaluationReport) -> None:
    assert report.headline == "ndcg@5"
    assert report.k_max == 5


def test_an_unknown_variant_is_named_with_those_there_are(report: EvaluationReport) -> None:
    with pytest.raises(KeyError, match="no variant 'magic'; there are"):
        report.variant("magic")
