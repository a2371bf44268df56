from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import kernels
from benchmarks.kernel_parts.catalogues import directions, learnt, made_up
from benchmarks.kernel_parts.clicks import clicks
from benchmarks.kernel_parts.hot import hot_kernels
from benchmarks.kernel_parts.retrieval import EXACT, Ways, agreement, retrieve
from benchmarks.kernel_parts.turns import in_turns
from recommender.exact_search import ExactIndex
from tests.bundles import shop_bundle

MODEL = learnt(300, 8, 20, seed=1)


def test_clicks_are_as_many_as_asked_and_unequal() -> None:
    found = clicks(500, 800, 20_000, np.random.default_rng(0))
    assert found.shape == (500, 800)
    assert found.sum() == pytest.approx(20_000, rel=0.05)
    by_item = np.sort(np.asarray(found.sum(axis=0)).ravel())[::-1]
    assert by_item[:80].sum() > 0.25 * by_item.sum()


def test_calls_take_turns_in_both_directions() -> None:
    asked: list[str] = []
    calls = {name: lambda turn, name=name: asked.append(f"{name}{turn}") for name in "ab"}
    found = in_turns(calls, 2)
    assert asked == ["b0", "a0", "a1", "b1", "b2", "a2"]
    assert all(each.p10 <= each.median <= each.p90 for each in found.values())


def test_catalogues_have_the_size_and_lengths_they_say() -> None:
    known = MODEL.catalogue()
    assert known.vectors.shape == (300, 8)
    larger = made_up(known, 1_000, seed=0)
    assert larger.vectors.shape == (1_000, 8)
    lengths = np.linalg.norm(directions(known).vectors, axis=1)
    assert np.isclose(lengths[lengths > 0], 1, atol=1e-5).all()


def test_the_exact_search_agrees_and_a_wrong_index_is_found_out() -> None:
    catalogue = MODEL.catalogue()
    everything = np.ones(300, np.bool_)
    ways = Ways(catalogue, ExactIndex.of(catalogue.vectors), everything)
    assert agreement(ways, 20) == (1, 1)
    wrong = replace(ways, index=ExactIndex.of(-catalogue.vectors))
    recall, same = agreement(wrong, 20)
    assert recall < 1
    assert same < 1


def test_ratios_are_those_of_numpy_in_the_same_turns() -> None:
    rows = retrieve(MODEL.catalogue(), [5], repeats=3)
    assert [row.way for row in rows] == ["numpy", "scan", "exact"]
    assert rows[2].ratio == pytest.approx(rows[2].median_us / rows[0].median_us, abs=1e-3)
    assert rows[2].index_share == pytest.approx((8 + 17) / 32, abs=1e-3)
    found = kernels.result(rows, [])
    assert found["recall"] == 1
    assert found["exact_vs_numpy"] == {"als, 300, top 5": rows[2].ratio}
    assert [row["way"] for row in found["retrieval"]] == [*("numpy", "scan"), EXACT]


def test_every_source_of_a_bundle_is_measured() -> None:
    bundle = shop_bundle()
    found = hot_kernels(bundle, 2)
    for name in bundle.sources:
        assert any(row["kernel"].startswith(f"source {name},") for row in found)
    assert any(row["kernel"].startswith("fold-in") for row in found)
    assert all(row["median"] > 0 for row in found)


def test_it_exits_with_1_where_a_list_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--items", "200", "--factors", "8", "--repeats", "2", "--retrieval-only"]
    assert kernels.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["same_lists"] == 1

    known = [(MODEL.catalogue(), MODEL)]
    monkeypatch.setattr(kernels, "catalogues", lambda *_: known)
    wrong_index = ExactIndex.of(-MODEL.source.item_factors)
    monkeypatch.setattr("benchmarks.kernel_parts.retrieval.ExactIndex.of", lambda _: wrong_index)
    assert kernels.main(arguments) == 1
