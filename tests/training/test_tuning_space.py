from __future__ import annotations

import pytest

from recommender.errors import ConfigError
from training.spec import TrainingSpec, parse_spec
from training.tuning_space import SPACE, settings_of, space_of, with_settings

KEPT = {"window", "split", "session", "evaluation", "journeys", "gate"}


def test_the_start_is_among_the_choices_and_gives_itself_back() -> None:
    start = parse_spec({"als": {"factors": 48}, "item_knn": {"k1": 1.0}})
    space = space_of(start)
    assert with_settings(start, space, settings_of(start, space)).resolved == start.resolved
    factors = next(knob for knob in space if knob.name == "als.factors")
    assert factors.choices(48) == (32, 48, 64, 128, 256)


@pytest.mark.parametrize("knob", SPACE, ids=lambda knob: knob.name)
def test_every_value_of_a_knob_is_accepted_and_arrives(knob) -> None:
    start = TrainingSpec()
    own = settings_of(start, SPACE)
    for value in knob.choices(own[knob.name]):
        turned = with_settings(start, SPACE, own | {knob.name: value})
        assert knob.of(turned.resolved) == value
        others = [each for each in SPACE if each is not knob]
        assert settings_of(turned, others) == settings_of(start, others)


def test_what_says_whom_to_ask_and_what_is_right_is_never_turned() -> None:
    assert not {knob.key.split(".")[0] for knob in SPACE} & KEPT
    assert len({knob.name for knob in SPACE}) == len(SPACE)


def test_an_event_that_counts_nothing_has_no_knob() -> None:
    names = [knob.name for knob in space_of(parse_spec({"event_weights": {"purchase": 1.0}}))]
    assert "event_weights.purchase" in names
    assert "event_weights.add_to_cart" not in names


def test_a_ranker_that_is_not_learnt_has_no_knobs() -> None:
    names = [knob.name for knob in space_of(parse_spec({"ranker": {"learn": False}}))]
    assert names
    assert not [name for name in names if name.startswith("ranker.")]
    assert "ranker.leaves" in [knob.name for knob in space_of(TrainingSpec())]


def test_settings_that_do_not_fit_are_refused() -> None:
    start = TrainingSpec()
    off = {name: False for name in settings_of(start, SPACE) if ".pairs." in name}
    with pytest.raises(ConfigError, match=r"covisitation.pairs"):
        with_settings(start, SPACE, settings_of(start, SPACE) | off)
