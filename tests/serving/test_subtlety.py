from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serving.service import (
    TestClient,
    decisions,
    event,
    in_process,
    item_ids,
    publish_shop,
)

PLACEMENTS = """
sensitive_categories = ["garden/seeds"]

[placements.home]
max_changed_share = 0.25

[placements.home.stage.prospect]
limit = 4
"""
SECRET = {f"item-{i:02d}" for i in range(20) if i % 4 == 2}


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/recommendations", json={"placement": "home", "explain": True} | body)


def test_dose_stage_and_discretion_over_http(tmp_path: Path) -> None:
    root, file = tmp_path / "shop", tmp_path / "placements.toml"
    publish_shop(root)
    file.write_text(PLACEMENTS)
    with in_process(root, placements=file) as client:
        stranger = ask(client, visitor_id="nobody")
        assert (len(item_ids(stranger)), stranger.json()["explanation"]["changed_share"]) == (
            10,
            None,
        )
        assert not SECRET & {*item_ids(stranger)}

        client.post("/v1/events", json=[event("ann", "item-13"), event("ann", "item-15")])
        ann = ask(client, visitor_id="ann")
        assert len(item_ids(ann)) == 4
        assert ann.json()["explanation"]["changed_share"] == pytest.approx(0.25)
        assert len({*item_ids(ann)} - {*item_ids(stranger)[:4]}) == 1
        assert len(item_ids(ask(client, visitor_id="ann", limit=8))) == 8

        client.post("/v1/events", json=[event("bob", item) for item in ("item-06", "item-10")])
        bob = ask(client, visitor_id="bob")
        untouched = ("recommendation_id", "took_ms", "next_cursor")
        assert {k: v for k, v in bob.json().items() if k not in untouched} == {
            k: v for k, v in stranger.json().items() if k not in untouched
        }
        journal = client.get("/v1/visitors/bob").json()
        assert (len(journal["interactions"]), journal["brand_affinity"]) == (2, [])
    shares = [record.changed_share for record in decisions(root)]
    assert shares[:2] == [None, pytest.approx(0.25)]
    assert shares[3] is None


@pytest.mark.parametrize(("path", "warned"), [("garden/seeds", False), ("garden/sedes", True)])
def test_a_sensitive_category_that_protects_nobody_is_warned_of(
    tmp_path: Path, path: str, warned: bool
) -> None:
    root, file = tmp_path / "shop", tmp_path / "placements.toml"
    publish_shop(root)
    file.write_text(f'sensitive_categories = ["{path}"]\n[placements.home]\n')
    with in_process(root, placements=file) as client:
        probe = client.get("/health/ready").json()
    assert probe["status"] == "ready"
    assert any("sensitive" in each for each in probe["warnings"]) is warned
