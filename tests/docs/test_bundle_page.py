"""The page on bundles names every array with its dtype, and every part of the manifest."""

from __future__ import annotations

import re
from dataclasses import fields

from recommender.bundle_manifest import BundleInfo, RankerInfo
from recommender.bundle_schema import OPTIONAL, PACE, REQUIRED, spec_of
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "bundle-format.md").read_text(encoding="utf-8")
ARRAYS = PAGE.split("## Arrays")[1].split("## ")[0]
ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \|", re.MULTILINE)
NAME = re.compile(r"`([a-zA-Z_]+)`")


def _described() -> dict[str, set[str]]:
    """Arrays of each row with its dtypes; S and H stand for a source and a head."""
    found = {}
    for names, dtypes in ROW.findall(ARRAYS):
        for name in NAME.findall(names):
            whole = name.replace("_S_", "_trend_").replace("_H_", "_purchase_")
            found[whole] = set(dtypes.strip().split(", "))
    return found


def test_every_array_is_described_and_none_that_a_bundle_may_not_hold() -> None:
    described = _described()
    assert {**REQUIRED, **OPTIONAL, **PACE}.keys() <= described.keys()
    assert {name for name in described if spec_of(name).dtype not in described[name]} == set()


def test_every_part_of_the_manifest_is_described() -> None:
    parts = [each.name for each in (*fields(BundleInfo), *fields(RankerInfo))]
    assert [name for name in parts if f"`{name}`" not in PAGE] == []
