from __future__ import annotations

import pickletools
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recommender.bundle import ModelBundle, load_bundle
from recommender.bundle_folder import current
from recommender.errors import BundleError, InvalidInputError
from recommender.pipeline import recommend
from recommender.placements import DEFAULT_FILE, read_placements
from recommender.policy import TopPolicy
from recommender.query import Interaction, Query
from recommender.terms import ADD_TO_CART, DISMISS, PURCHASE, VIEW_ITEM
from tests.bundles import AT as NOW
from tests.bundles import AT_MICROS as MICROS
from tests.bundles import saved_bundle
from training.deliver import deliver
from training.registry import (
    CHALLENGER,
    RegisteredModel,
    Registry,
    RegistryError,
    Tracking,
    within,
)
from training.registry_run import DataLineage, flatten, metric_name, start_run

ITEMS = 20


def item_id(number: int) -> str:
    return f"item-{number:02d}"


EXAMPLE = {
    "placement": "home",
    "at": NOW.isoformat(),
    "history": [{"item_id": item_id(2), "event_type": VIEW_ITEM, "ts": MICROS - 1}],
}
LINEAGE = DataLineage(
    "tiny", "d" * 64, "/data/log", "2026-01-01", "2026-02-01", 10, {"segment-1": 4096}
)


def clock() -> int:
    return MICROS


@pytest.fixture
def bundle(tmp_path: Path) -> ModelBundle:
    saved_bundle(tmp_path / "built")
    return load_bundle(tmp_path / "built")


@pytest.fixture
def registered(registry: Registry, bundle: ModelBundle, tmp_path: Path) -> RegisteredModel:
    with start_run(registry, "tiny", clock) as run:
        run.log_params({"als": {"factors": 4}, "window": {"days": 0}})
        run.log_metrics({"ndcg@20": 0.25})
        run.log_data(LINEAGE)
        return run.register(bundle, tmp_path / "built", DEFAULT_FILE, EXAMPLE)


def test_a_run_keeps_parameters_metrics_and_the_data_set(
    registry: Registry, registered: RegisteredModel
) -> None:
    run = registry.call("read", lambda client: client.get_run(registered.run_id))
    assert run.data.params == {"als.factors": "4", "window.days": "0"}
    assert run.data.metrics == {"ndcg_at_20": 0.25}
    assert run.info.status == "FINISHED"
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.digest == "d" * 36
    assert {tag.key: tag.value for tag in used.tags}["rows"] == "10"
    assert run.data.tags["data_digest"] == "d" * 64
    offsets = registry.call(
        "read",
        lambda client: client.download_artifacts(run.info.run_id, "lineage/log_offsets.json"),
    )
    assert "4096" in Path(offsets).read_text()


def test_lineage_leads_from_the_version_to_the_run_and_the_data(
    registry: Registry, registered: RegisteredModel, bundle: ModelBundle
) -> None:
    found = registry.require(registered.version)
    assert found.run_id == registered.run_id
    assert found.bundle_version == bundle.version
    assert found.tags["data_digest"] == bundle.manifest.info.data_digest
    model = registry.call(
        "read",
        lambda client: client.search_logged_models(
            [client.get_run(registered.run_id).info.experiment_id]
        ),
    )[0]
    assert model.source_run_id == registered.run_id


def test_a_failing_run_is_recorded_as_failed(registry: Registry) -> None:
    with pytest.raises(ZeroDivisionError), start_run(registry, "broken", clock) as run:
        run.log_metrics({"x": 1 / 0})
    ended = registry.call("read", lambda client: client.get_run(run.run_id))
    assert ended.info.status == "FAILED"
    assert ended.data.tags["error"].startswith("ZeroDivisionError")


def test_an_alias_moves_between_versions(registry: Registry, registered: RegisteredModel) -> None:
    assert registry.resolve(CHALLENGER) is None
    registry.set_alias(CHALLENGER, registered.version)
    found = registry.require(CHALLENGER)
    assert (found.version, found.aliases) == (registered.version, (CHALLENGER,))


def test_what_is_not_there_is_said(registry: Registry) -> None:
    assert registry.resolve("champion") is None
    assert registry.resolve("7") is None
    with pytest.raises(InvalidInputError, match="no version or alias 'champion'"):
        registry.require("champion")


def test_looking_for_a_model_does_not_make_a_registry(tmp_path: Path) -> None:
    registry = Registry(Tracking.in_folder(tmp_path))
    assert registry.resolve("champion") is None
    with pytest.raises(InvalidInputError, match="no version or alias 'champion'"):
        registry.require("champion")
    assert list(tmp_path.iterdir()) == []


def test_the_fetched_bundle_is_the_registered_one(
    registry: Registry, registered: RegisteredModel, bundle: ModelBundle, tmp_path: Path
) -> None:
    folder = registry.fetch(registered, tmp_path / "fetched")
    assert load_bundle(folder).manifest == bundle.manifest


def test_nothing_in_the_model_folder_is_a_pickle(
    registry: Registry, registered: RegisteredModel, tmp_path: Path
) -> None:
    root = tmp_path / "store" / "artifacts"
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not [path for path in files if path.suffix in {".pkl", ".pickle", ".joblib", ".pt"}]
    assert not [path for path in files if _is_pickle(path.read_bytes())]
    assert not [path for path in files if path.suffix == ".npy" and _holds_objects(path)]


def test_the_pickle_detector_detects(tmp_path: Path) -> None:
    # Protocol 2 of `[]`, written by hand: nothing here may import the module.
    assert _is_pickle(b"\x80\x02]q\x00.")
    (tmp_path / "objects.npy").write_bytes(
        b"\x93NUMPY\x01\x00\x46\x00"
        + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(69)
        + b"\n"
    )
    assert _holds_objects(tmp_path / "objects.npy")


def _is_pickle(content: bytes) -> bool:
    """Whether the whole content is one opcode stream that ends with STOP, as pickles do."""
    if not content.startswith(b"\x80"):
        return False
    try:
        *_, last = pickletools.genops(content)
    except (ValueError, IndexError):
        return False
    return last[0].name == "STOP"


def _holds_objects(path: Path) -> bool:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        assert version[0] == 1
        return bool(np.lib.format.read_array_header_1_0(stream)[2].hasobject)


# ---- the registered model answers as the pipeline does ---------------------------


@pytest.fixture
def loaded(registry: Registry, registered: RegisteredModel) -> Any:
    import mlflow.pyfunc

    registry.set_alias(CHALLENGER, registered.version)  # also points MLflow at this store
    return mlflow.pyfunc.load_model(f"models:/{registry.tracking.model}@{CHALLENGER}")


def _random_row(rng: np.random.Generator) -> dict[str, Any]:
    def items(most: int) -> list[str]:
        return [item_id(i) for i in rng.integers(0, ITEMS + 3, rng.integers(0, most))]

    def done(most: int) -> list[dict[str, Any]]:
        ages = sorted(rng.integers(0, 10**12, most).tolist(), reverse=True)
        types = [VIEW_ITEM, ADD_TO_CART, PURCHASE, DISMISS]
        chosen = zip(items(most + 1), ages, strict=False)
        return [
            {"item_id": i, "event_type": str(rng.choice(types)), "ts": MICROS - age}
            for i, age in chosen
        ]

    filters: list[Any] = [
        None,
        {"category": ["garden"]},
        {"brand": ["acme"], "price": {"max": 15.0}},
        {"price": {"min": 5.0, "max": 20.0}},
    ]
    return {
        "placement": str(rng.choice(["home", "item", "cart", "category", "next", "similar"])),
        "at": (NOW + timedelta(seconds=int(rng.integers(0, 10**6)))).isoformat(),
        "limit": int(rng.integers(1, 30)) if rng.random() < 0.7 else None,
        "history": done(6),
        "session": done(4),
        "context_items": items(3),
        "cart_items": items(3),
        "category": [None, "garden", "garden/tools", "unknown"][rng.integers(0, 4)],
        "exclude_items": items(4),
        "filter": filters[rng.integers(0, len(filters))],
        "personalize": str(rng.choice(["off", "light", "full"], p=[0.1, 0.1, 0.8])),
    }


def _ask_pipeline(row: dict[str, Any], bundle: ModelBundle) -> list[tuple[str, float]]:
    placement = read_placements()[row["placement"]]
    query = Query(
        at=datetime.fromisoformat(row["at"]),
        placement=row["placement"],
        limit=row["limit"] or placement.limit,
        history=tuple(Interaction(**each) for each in row["history"]),
        session=tuple(Interaction(**each) for each in row["session"]),
        context_items=tuple(row["context_items"]),
        cart_items=tuple(row["cart_items"]),
        category=row["category"],
        exclude_items=frozenset(row["exclude_items"]),
        filter=row["filter"] or {},
        personalize=row["personalize"],
    )
    slate = recommend(query, bundle, placement, TopPolicy())
    return [(item.item_id, item.score) for item in slate.items]


def test_the_registered_model_answers_as_the_pipeline_does(
    loaded: Any, bundle: ModelBundle
) -> None:
    rng = np.random.default_rng(3)
    rows = [_random_row(rng) for _ in range(300)]
    answers = loaded.predict(rows)
    given = [[(item.item_id, item.score) for item in each.items] for each in answers]
    expected = [_ask_pipeline(row, bundle) for row in rows]
    assert given == expected
    assert {each.model_version for each in answers} == {bundle.version}
    assert sum(map(len, expected)) > 1000


def test_the_registered_model_takes_a_frame_too(loaded: Any, bundle: ModelBundle) -> None:
    import pandas as pd

    rows = [_random_row(np.random.default_rng(seed)) for seed in range(20)]
    answers = loaded.predict(pd.DataFrame(rows))
    given = [[(item.item_id, item.score) for item in each.items] for each in answers]
    assert given == [_ask_pipeline(row, bundle) for row in rows]


def test_the_registered_model_has_a_signature_and_an_example(loaded: Any) -> None:
    columns = loaded.metadata.get_input_schema().to_dict()
    assert "placement" in str(columns)
    assert loaded.input_example == [EXAMPLE]
    assert loaded.predict(loaded.input_example)[0].items[0].item_id in {
        item_id(i) for i in range(0, ITEMS, 2)
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"placement": "attic"}, "attic"),
        ({"colour": "red"}, "colour"),
        ({"limit": 1000}, "limit=1000"),
        ({"at": "2026-02-01T00:00:00"}, "no time zone"),
    ],
)
def test_an_unacceptable_row_is_refused(loaded: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        loaded.predict([EXAMPLE | change])


# ---- a registry that is down or hangs ---------------------------------------------


def test_a_registry_that_is_down_is_an_error_that_names_it(tmp_path: Path) -> None:
    registry = Registry(Tracking("http://127.0.0.1:9", timeout_seconds=20))
    with pytest.raises(RegistryError, match=r"127\.0\.0\.1:9"):
        registry.resolve("champion")


def test_a_registry_that_never_answers_is_an_error_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = Registry(
            Tracking(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=2)
        )
        start = time.monotonic()
        with pytest.raises(RegistryError):
            registry.resolve("champion")
        assert time.monotonic() - start < 15


def test_a_registry_that_lies_delivers_nothing(
    registry: Registry, registered: RegisteredModel, tmp_path: Path
) -> None:
    (stored,) = (tmp_path / "store" / "artifacts").rglob("bundle/item_factors.npy")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.write_bytes(content)
    with pytest.raises(BundleError, match="item_factors"):
        deliver(registry, registered.version, tmp_path / "bundles")
    assert current(tmp_path / "bundles") is None
    registry.set_tags(registered.version, {"bundle_version": "0" * 16})
    content[-1] ^= 1
    stored.write_bytes(content)
    with pytest.raises(BundleError, match="announced bundle 0000"):
        deliver(registry, registered.version, tmp_path / "bundles")
    assert current(tmp_path / "bundles") is None


def test_a_call_that_hangs_ends_at_its_deadline() -> None:
    stop = threading.Event()
    start = time.monotonic()
    with pytest.raises(RegistryError, match=r"ask: no answer within 0\.1 s"):
        within(0.1, stop.wait, "ask")
    assert time.monotonic() - start < 5
    stop.set()


def test_the_environment_forbids_pickles_and_telemetry(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    registry.resolve("champion")
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_names_become_acceptable_to_mlflow() -> None:
    assert metric_name("ndcg@20") == "ndcg_at_20"
    assert flatten({"a": {"b": {"c": 1}}, "d": 2}) == {"a.b.c": 1, "d": 2}


@pytest.mark.usefixtures("registered")
def test_two_registries_do_not_see_each_other(
    new_registry: Callable[[Path], Registry], tmp_path: Path
) -> None:
    assert new_registry(tmp_path / "other").resolve("1") is None
