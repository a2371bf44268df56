"""The formats by name, and what holds for all of them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import FORMATS, find_format
from recommender.errors import ConfigError, DataError, InvalidInputError

NAMES = [
    "desirepath-log",
    "desirepath-csv",
    "desirepath-parquet",
    "desirepath-jsonl",
    "ga4-jsonl",
    "segment-jsonl",
    "retailrocket",
    "rees46",
    "online-retail",
]


def test_the_formats() -> None:
    assert list(FORMATS) == NAMES
    assert all(FORMATS[name].name == name for name in NAMES)
    assert find_format("rees46") is FORMATS["rees46"]


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="'csv' is not known; accepted: desirepath-log"):
        find_format("csv")


def test_the_registry_loads_no_reader() -> None:
    code = "import sys, feature_store.loaders.registry; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_online_side_loads_no_polars() -> None:
    code = "import sys, feature_store.dialects; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_missing_file_is_a_data_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="does not exist"):
        list(FORMATS[name].batches(tmp_path / "none", LoadOptions()))


def test_strict_takes_the_published_file_only(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(b"timestamp,visitorid,event,itemid,transactionid\n1430636062541,1,view,2,\n")
    with pytest.raises(DataError, match="the published file's is 3745aa83238b1e6d"):
        list(FORMATS["retailrocket"].batches(path, LoadOptions(strict=True)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    published = replace(FORMATS["retailrocket"], published_sha256=digest)
    (frame,) = published.batches(path, LoadOptions(strict=True))
    assert frame.height == 1


def test_strict_is_refused_where_nothing_is_published(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="accepted for: retailrocket"):
        list(FORMATS["rees46"].batches(tmp_path, LoadOptions(strict=True)))


def test_batches_have_at_least_one_row() -> None:
    with pytest.raises(ConfigError, match="batch_rows=0"):
        LoadOptions(batch_rows=0)
