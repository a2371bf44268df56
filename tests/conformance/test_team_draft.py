"""The worked examples of team-draft interleaving."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recommender.interleaving import FIRST, whole_rounds
from tests.conformance.conftest import Tally


@pytest.mark.shared
def test_the_worked_examples(shared_path: Path, tally: Callable[[str, str], Tally]) -> None:
    text = (shared_path / "conformance/interleaving/team_draft_vectors.json").read_text()
    with tally("team draft", "worked examples") as counted:
        for number, vector in enumerate(json.loads(text)["vectors"], start=1):
            limit = vector["max_items"] or 100
            picks = whole_rounds(vector["C1"], vector["C2"], limit, lambda _: FIRST)
            teams = [f"C{each.team + 1}" for each in picks]
            if "expected" in vector:
                pairs = zip(picks, teams, strict=True)
                found = [[each.item_id, team, int(each.competitive)] for each, team in pairs]
                counted.check(f"{number}", found, vector["expected"])
            else:
                counts = {team: teams.count(team) for team in teams}
                expected = vector["expected_length"], vector["expected_counts"]
                counted.check(f"{number}", (len(picks), counts), expected)
