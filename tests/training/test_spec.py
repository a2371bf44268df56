from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import training.spec
from recommender.errors import ConfigError
from recommender.terms import EVENT_CODES, PURCHASE
from training.sections import AlsSpec
from training.spec import TrainingSpec, load_spec, parse_spec

SAMPLE = Path(training.spec.__file__).with_name("training.toml")


def test_the_sample_file_names_every_setting_and_equals_the_defaults() -> None:
    written = tomllib.loads(SAMPLE.read_text("utf-8"))
    assert load_spec(SAMPLE) == TrainingSpec()
    assert written == TrainingSpec().resolved


def test_what_is_resolved_gives_itself_back() -> None:
    assert parse_spec(TrainingSpec().resolved) == TrainingSpec()


def test_what_is_not_named_keeps_its_default() -> None:
    spec = parse_spec({"als": {"factors": 8}, "covisitation": {"view_cart": {"max_distance": 3}}})
    assert spec == replace(
        TrainingSpec(),
        als=AlsSpec(factors=8),
        covisitation=replace(
            TrainingSpec().covisitation,
            view_cart=replace(TrainingSpec().covisitation.view_cart, max_distance=3),
        ),
    )


def test_a_pair_keeps_its_own_defaults_and_not_those_of_pairs_in_general() -> None:
    spec = parse_spec({"covisitation": {"purchase_purchase": {"smoothing": 1}}})
    assert spec.covisitation.purchase_purchase.scope == "shopper"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"alss": {}}, r"unknown key 'alss'; accepted: window, split"),
        ({"als": {"factor": 3}}, r"als: unknown key 'factor'; accepted: factors, regularization"),
        ({"als": {"factors": 0}}, r"als\.factors=0; accepted: 1 to 1024"),
        ({"als": {"factors": 3.5}}, r"als\.factors=3\.5; accepted: int"),
        ({"als": {"factors": True}}, r"als\.factors=True; accepted: int"),
        ({"als": {"alpha": float("nan")}}, r"als\.alpha=nan; accepted"),
        ({"als": {"alpha": "1"}}, r"als\.alpha='1'; accepted: a number"),
        ({"als": 3}, r"als=3; accepted: a table"),
        ({"blend": {"learn": 1}}, r"blend\.learn=1; accepted: bool"),
        ({"blend": {"weights": {"magic": 1}}}, r"blend\.weights: unknown key 'magic'"),
        ({"blend": {"weights": {"als": 0}}}, r"at least one source needs a weight above 0"),
        ({"blend": {"weights": {"als": -1}}}, r"blend\.weights\.als=-1\.0; accepted: 0 to"),
        ({"event_weights": {"glance": 1}}, r"event_weights: unknown key 'glance'"),
        ({"event_weights": {}}, r"at least one event type needs a weight above 0"),
        ({"item_knn": {"weighting": "tfidf"}}, r"weighting='tfidf'; accepted: bm25, cosine"),
        ({"evaluation": {"k": []}}, r"evaluation\.k=\[\]; accepted: a list"),
        ({"evaluation": {"k": [10, 10]}}, r"names a member twice"),
        ({"evaluation": {"placement": ""}}, r"accepted: a text"),
        ({"split": {"target_events": ["purchase", "nap"]}}, r"target_events='nap'; accepted"),
        ({"covisitation": {"pairs": ["view_share"]}}, r"pairs='view_share'; accepted: view_view"),
        ({"covisitation": {"view_view": {"reach": 1}}}, r"covisitation\.view_view: unknown key"),
        ({"covisitation": {"view_view": 1}}, r"view_view=1; accepted: a table"),
    ],
)
def test_what_is_not_accepted_is_refused_by_name(table: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_spec(table)


def test_cut_offs_are_kept_rising() -> None:
    assert parse_spec({"evaluation": {"k": [20, 5]}}).evaluation.k == (5, 20)


def test_a_file_that_is_missing_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a readable training file is needed"):
        load_spec(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[als\n")
    with pytest.raises(ConfigError, match="is not TOML"):
        load_spec(tmp_path / "bad.toml")


@given(factors=st.integers(1, 1024), seed=st.integers(0, 2**31 - 1))
def test_the_digest_follows_the_settings_and_nothing_else(factors: int, seed: int) -> None:
    spec = parse_spec({"als": {"factors": factors, "seed": seed}})
    assert parse_spec(spec.resolved) == spec
    assert parse_spec(spec.resolved).digest == spec.digest
    other = parse_spec({"als": {"factors": factors % 1024 + 1, "seed": seed}})
    assert other.digest != spec.digest


def test_event_weights_are_found_by_code() -> None:
    by_code = TrainingSpec().weight_by_code
    assert by_code[EVENT_CODES[PURCHASE]] == 5
    assert by_code[EVENT_CODES["refund"]] == 0
