from __future__ import annotations

import pytest

from recommender.errors import ConfigError
from recommender.placement_overrides import overridden
from recommender.placements import parse_placements

PLACEMENTS = parse_placements(
    {
        "placements": {
            "home": {
                "limit": 8,
                "fatigue": {"min_gain": 0.1},
                "stage": {"loyal": {"limit": 4, "objective": "purchase"}},
            }
        }
    }
)
HOME = PLACEMENTS["home"]


def test_an_arm_goes_before_what_a_stage_says() -> None:
    changed = overridden(HOME, {"limit": 3, "kinds": ["item"]})
    assert (changed.name, changed.limit, changed.kinds) == ("home", 3, ("item",))
    loyal = changed.stage["loyal"]
    assert (loyal.name, loyal.limit, loyal.objective) == ("home", 3, "purchase")
    assert (HOME.limit, HOME.stage["loyal"].limit) == (8, 4)


def test_what_is_not_said_stays() -> None:
    assert overridden(HOME, {}) is HOME
    changed = overridden(HOME, {"fatigue": {"item_per_week": 3}})
    assert (changed.fatigue.min_gain, changed.fatigue.item_per_week) == (0.1, 3)
    assert changed.limit == 8


@pytest.mark.parametrize("key", ["name", "personalize", "sensitive_categories", "stage", "colour"])
def test_what_an_arm_may_not_change(key: str) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        overridden(HOME, {key: "x"})
