from __future__ import annotations

from pathlib import Path

import pytest

from recommender.errors import ConfigError
from recommender.placements import OBJECTIVES, parse_placements, read_placements


def test_the_shipped_file_is_acceptable_and_names_the_usual_places() -> None:
    assert {"home", "item", "cart", "category", "similar", "next"} <= read_placements().keys()


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"placements": {}},
        {"placements": {"home": 3}},
        {"placement": {"home": {}}},
        {"placements": {"home": {"limits": 3}}},
        {"placements": {"home": {"limit": 0}}},
        {"placements": {"home": {"limit": 101}}},
        {"placements": {"home": {"limit": 2.5}}},
        {"placements": {"home": {"limit": True}}},
        {"placements": {"home": {"candidates": 0}}},
        {"placements": {"home": {"seeds": ["stars"]}}},
        {"placements": {"home": {"seeds": "session"}}},
        {"placements": {"home": {"exclude": ["everything"]}}},
        {"placements": {"home": {"ladder": ["personalised"]}}},
        {"placements": {"home": {"static_items": [3]}}},
        {"placements": {"home": {"purchased_within_days": -1}}},
        {"placements": {"home": {"seen_within_days": float("nan")}}},
        {"placements": {"home": {"within_category": 1}}},
        {"placements": {"home": {"objective": "clicks"}}},
        {"placements": {"home": {"objective": ["path"]}}},
        {"placements": {"home": {"purchase_share": 1.1}}},
        {"placements": {"home": {"purchase_share": -0.1}}},
        {"placements": {"home": {"purchase_share": float("nan")}}},
        {"placements": {"home": {"purchase_share": "half"}}},
        {"placements": {"home": {"path_floor": 1.1}}},
        {"placements": {"home": {"kinds": []}}},
        {"placements": {"home": {"kinds": ["advertisement"]}}},
        {"placements": {"home": {"kind_order": ["category"]}}},
        {"placements": {"home": {"at_most": {"category": 1}}}},
        {"placements": {"home": {"at_most": {"resume": -1}}}},
        {"placements": {"home": {"at_most": {"resume": 1.5}}}},
        {"placements": {"home": {"at_most": 3}}},
        {"placements": {"home": {"navigation": 4}}},
    ],
)
def test_an_unacceptable_file_says_what_is_accepted(raw: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="accepted"):
        parse_placements(raw)


def test_a_placement_ranks_for_the_next_step_unless_it_says_otherwise() -> None:
    assert {place.objective for place in read_placements().values()} == {"next_step"}
    named = {"objective": "path", "purchase_share": 1, "path_floor": 0.3}
    place = parse_placements({"placements": {"home": named}})["home"]
    assert (place.objective, place.purchase_share, place.path_floor) == ("path", 1, 0.3)
    assert OBJECTIVES == ("next_step", "purchase", "path")


@pytest.mark.parametrize("content", [b"[placements", b"\xff"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"p\.toml"):
        read_placements(path)
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_placements(tmp_path / "none.toml")
