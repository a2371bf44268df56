from __future__ import annotations

import hashlib
import io
from pathlib import Path

import msgspec
import polars as pl
import pytest

from feature_store.dialects import normalise
from feature_store.events import EventItem, InteractionEvent
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from feature_store.tables import read_interactions
from recommender.errors import InvalidInputError
from tests.training.simulation.shops import START, Ran
from training.simulation.demand import DAY_MICROS
from training.simulation.emit import JsonlEmitter
from training.simulation.encode import Encoder
from training.simulation.run import RunRequest, RunResult, run

SECRET = {"pace", "need", "is_bot", "taste", "via", "reason", "willing", "style"}


def request_for(out: Path, seed: int = 4, output: str = "jsonl") -> RunRequest:
    return RunRequest(out, START, shoppers=250, days=6, items=120, seed=seed, output=output)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated") / "run"


@pytest.fixture(scope="module")
def result(folder: Path) -> RunResult:
    return run(request_for(folder))


@pytest.fixture(scope="module")
def lines(folder: Path, result: RunResult) -> list[bytes]:
    return (folder / "events.jsonl").read_bytes().splitlines()


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_writes_the_same_bytes(
    folder: Path, result: RunResult, tmp_path: Path
) -> None:
    run(request_for(tmp_path / "again"))
    run(request_for(tmp_path / "other", seed=5))
    first = digests(folder)
    assert set(first) == {
        *("events.jsonl", "catalogue.jsonl", "report.json"),
        *("truth/sessions.parquet", "truth/orders.parquet", "truth/shoppers.parquet"),
    }
    assert digests(tmp_path / "again") == first
    other = digests(tmp_path / "other")
    assert not [name for name in first if first[name] == other[name]]


def test_every_event_is_counted_once_and_in_the_order_of_time(
    lines: list[bytes], result: RunResult
) -> None:
    events = [msgspec.json.decode(line, type=InteractionEvent) for line in lines]
    assert len(events) == result.events == sum(result.by_type.values())
    assert len({event.event_id for event in events}) == len(events)
    ts = [event.ts for event in events]
    assert ts == sorted(ts)


def test_the_service_accepts_every_event_unchanged(lines: list[bytes]) -> None:
    for line in lines:
        raw = msgspec.json.decode(line)
        event = normalise(raw, raw["ts"])
        assert event == msgspec.json.decode(line, type=InteractionEvent)
        assert event.original_name is None


def test_a_line_is_the_event_in_its_shortest_form(lines: list[bytes]) -> None:
    for line in lines[:500]:
        assert msgspec.json.encode(msgspec.json.decode(line, type=InteractionEvent)) == line


def test_no_event_tells_the_truth_about_a_shopper(lines: list[bytes]) -> None:
    keys = {key for line in lines for key in msgspec.json.decode(line)}
    assert keys <= set(InteractionEvent.__struct_fields__)
    assert not keys & SECRET


def test_the_truth_tells_what_the_events_do_not(folder: Path, result: RunResult) -> None:
    visits = pl.read_parquet(folder / "truth/sessions.parquet")
    assert visits.height == result.visits
    assert set(visits["pace"].drop_nulls()) == {"hurried", "focused", "browsing", "returning"}
    assert visits["session_id"].n_unique() == visits.height
    shoppers = pl.read_parquet(folder / "truth/shoppers.parquet")
    assert shoppers.height == 250
    assert set(visits["visitor_id"]) <= {
        *shoppers["first_visitor_id"],
        *shoppers["second_visitor_id"],
    }


def test_ingest_takes_all_of_it_with_its_catalogue(
    folder: Path, result: RunResult, tmp_path: Path
) -> None:
    layout = StoreLayout(tmp_path)
    ingest(folder / "events.jsonl", "desirepath-jsonl", layout)
    rows = read_interactions(layout).collect()
    assert rows["event_id"].n_unique() == result.events


def test_parquet_holds_the_same_events_as_json(folder: Path, tmp_path: Path) -> None:
    run(request_for(tmp_path / "flat", output="parquet"))
    flat = pl.concat(
        pl.read_parquet(path) for path in sorted((tmp_path / "flat/events").glob("*.parquet"))
    )
    stores = StoreLayout(tmp_path / "a"), StoreLayout(tmp_path / "b")
    ingest(folder / "events.jsonl", "desirepath-jsonl", stores[0])
    ingest(tmp_path / "flat/events", "desirepath-parquet", stores[1])
    columns = [
        name for name in flat.columns if name not in {"available_at", "value", "recommendation_id"}
    ]
    order = ["event_id", "item_position"]
    first, second = (
        read_interactions(store).collect().select(columns).sort(order) for store in stores
    )
    assert first.equals(second)
    assert flat["event_id"].n_unique() == first["event_id"].n_unique()
    assert (digests(folder)["catalogue.jsonl"]) == digests(tmp_path / "flat")["catalogue.jsonl"]


def test_the_catalogue_describes_every_item(folder: Path, result: RunResult) -> None:
    items = [
        msgspec.json.decode(line) for line in (folder / "catalogue.jsonl").read_bytes().splitlines()
    ]
    assert len(items) == 120
    assert {frozenset(item) for item in items} == {
        frozenset({"item_id", "title", "category", "brand", "price", "available"})
    }
    assert all(item["price"] > 0 and item["category"].count("/") == 2 for item in items)


def test_values_are_the_sum_of_prices_times_units(lines: list[bytes]) -> None:
    bought = [
        event
        for event in (msgspec.json.decode(line, type=InteractionEvent) for line in lines)
        if event.event_type == "purchase"
    ]
    assert bought
    for event in bought:
        assert event.currency == "EUR"
        assert event.transaction_id is not None
        total = sum((item.price or 0.0) * (item.quantity or 0.0) for item in event.items)
        assert event.value == pytest.approx(total, abs=0.005)


def test_visits_past_midnight_wait_for_their_day(ran: Ran) -> None:
    encoder = Encoder(ran.shop.catalogue, ran.shop.identity)
    file = io.BytesIO()
    emitter = JsonlEmitter(file, encoder)
    held_back = 0
    happened = 0
    for log in ran.logs:
        happened += emitter.write(log)
        lines = file.getvalue().splitlines()
        held_back = max(held_back, happened - len(lines))
        assert msgspec.json.decode(lines[-1])["ts"] < log.midnight + DAY_MICROS
    assert held_back > 0


def test_items_are_described_as_ga4_does(ran: Ran) -> None:
    item = Encoder(ran.shop.catalogue, ran.shop.identity).item(3, 2)
    assert isinstance(item, EventItem)
    assert item.category_path == ran.shop.catalogue.leaves[ran.shop.catalogue.leaf[3]].path
    assert item.quantity == 2


def test_a_folder_with_a_run_in_it_is_refused(folder: Path, result: RunResult) -> None:
    with pytest.raises(InvalidInputError, match=r"already holds events\.jsonl"):
        run(request_for(folder))


def test_an_unknown_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="output='csv'"):
        request_for(tmp_path, output="csv")
