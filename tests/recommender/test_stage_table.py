from __future__ import annotations

import pytest

from recommender.behaviour import Behaviour
from recommender.errors import ConfigError
from recommender.pipeline import recommend
from recommender.placements import Placement, parse_placements
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.slate import Slate
from recommender.stage import STAGES
from recommender.stage_table import staged
from tests.bundles import AT, AT_MICROS, MINUTE, shop_bundle, viewed

BUNDLE = shop_bundle()
DAY = 1440 * MINUTE
RAW = {
    "fatigue": {"item_per_session": 3},
    "pace": {"hurried": {"length": 0.5, "novelty_at_most": 0.1}},
    "placements": {
        "home": {
            "limit": 12,
            "at_most": {"resume": 3},
            "stage": {
                "prospect": {"limit": 5, "max_changed_share": 0},
                "loyal": {
                    "objective": "purchase",
                    "fatigue": {"item_per_week": 2},
                    "pace": {"hurried": {"length": 0.8}},
                    "at_most": {"buy_again": 6},
                },
            },
        }
    },
}
HOME = parse_placements(RAW)["home"]
LOYAL = Behaviour(
    purchases=9, kept_lines=9, first_bought=AT_MICROS - 90 * DAY, last_bought=AT_MICROS - DAY
)


def query(**parts: object) -> Query:
    return Query(**({"at": AT, "placement": "home", "limit": 6} | parts))  # type: ignore[arg-type]


def ask(asked: Query, place: Placement = HOME) -> Slate:
    return recommend(asked, BUNDLE, place, TopPolicy())


def ids(slate: Slate) -> list[str]:
    return [item.item_id for item in slate.items]


def test_a_stage_changes_what_it_names_and_nothing_else() -> None:
    loyal, prospect = HOME.stage["loyal"], HOME.stage["prospect"]
    assert (prospect.limit, prospect.max_changed_share, prospect.objective) == (5, 0, "next_step")
    assert (loyal.limit, loyal.objective, dict(loyal.at_most)) == (12, "purchase", {"buy_again": 6})
    assert (loyal.fatigue.item_per_session, loyal.fatigue.item_per_week) == (3, 2)
    assert (HOME.fatigue.item_per_week, HOME.pace.styles["hurried"].length) == (0, 0.5)
    assert loyal.pace.styles["hurried"].length == 0.8
    assert loyal.pace.styles["hurried"].novelty_at_most == 0.1
    assert {each.name for each in HOME.stage.values()} == {"home"}
    assert not loyal.stage


@pytest.mark.parametrize(
    ("parts", "stage"),
    [
        ({"session": viewed(1)}, "prospect"),
        ({"history": viewed(1)}, "prospect"),
        ({"behaviour": LOYAL}, "loyal"),
        ({"behaviour": Behaviour(1, 1, AT_MICROS - DAY, AT_MICROS - DAY)}, None),
        ({}, None),
        ({"context_items": ("item-01",)}, None),
        ({"behaviour": LOYAL, "personalize": "light"}, None),
        ({"behaviour": LOYAL, "personalize": "off"}, None),
    ],
)
def test_the_stage_is_that_of_somebody_known(parts: dict[str, object], stage: str | None) -> None:
    assert staged(HOME, query(**parts), BUNDLE) == (HOME.stage[stage] if stage else HOME)


def test_a_stage_acts_in_the_answer() -> None:
    seen = viewed(13, 15)
    stranger = ids(ask(query()))
    assert ids(ask(query(session=seen))) == stranger
    assert ids(ask(query(session=seen, behaviour=LOYAL))) != stranger
    assert ask(query(session=seen)).changed_share == 0
    assert ask(query(session=seen, behaviour=LOYAL)).changed_share is None


def test_every_stage_may_be_named() -> None:
    table = {stage: {"navigation": 0} for stage in STAGES}
    place = parse_placements({"placements": {"home": {"stage": table}}})["home"]
    assert set(place.stage) == set(STAGES)


@pytest.mark.parametrize(
    ("stage", "named"),
    [
        (3, "stage=3"),
        ({"vip": {}}, "'vip'"),
        ({"loyal": 3}, r"home\.stage\.loyal=3"),
        ({"loyal": {"limit": 0}}, r"home\.stage\.loyal: limit=0"),
        ({"loyal": {"limit": "many"}}, r"home\.stage\.loyal: limit='many'"),
        ({"loyal": {"seeds": ["session"]}}, r"home\.stage\.loyal: unknown key \['seeds'\]"),
        ({"loyal": {"personalize": "off"}}, "unknown key"),
        ({"loyal": {"stage": {}}}, "unknown key"),
        ({"loyal": {"kinds": []}}, "kinds is empty"),
        ({"loyal": {"max_changed_share": 1.5}}, "max_changed_share=1.5"),
        ({"loyal": {"fatigue": {"min_gain": 7}}}, r"home\.stage\.loyal: fatigue.*min_gain=7"),
        ({"loyal": {"pace": {"hurried": {"length": 0}}}}, r"home\.stage\.loyal: pace.*length=0"),
    ],
)
def test_what_a_stage_cannot_say_is_named(stage: object, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){named}.*accepted"):
        parse_placements({"placements": {"home": {"stage": stage}}})
