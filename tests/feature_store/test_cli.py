from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest
from typer.testing import CliRunner

from feature_store.cli import app
from feature_store.events import EventItem, InteractionEvent
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from feature_store.tables import data_digest, read_interactions
from recommender.errors import (
    ConfigError,
    DataError,
    DesirepathError,
    InvalidEventError,
    InvalidInputError,
    RefusedError,
)
from tests.tabling import DAY, MINUTE, START, table_bytes

NOW = START + DAY


def run(*arguments: object) -> dict[str, object]:
    """One verb with --json; its result. Errors come through as they are raised."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def failure(*arguments: object) -> DesirepathError:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert isinstance(result.exception, DesirepathError), result.output
    return result.exception


@pytest.fixture
def csv(tmp_path) -> Path:
    """Sixty views of six items by ten visitors, in our own columns, and a line that is none."""
    path = tmp_path / "events.csv"
    lines = ["event_type,ts,visitor_id,item_id,price"]
    for number in range(60):
        ts = datetime.fromtimestamp((START + number * MINUTE) / 1e6, UTC).isoformat()
        lines.append(f"view_item,{ts},v{number % 10},i{number % 6},{number % 6}.5")
    path.write_text("\n".join([*lines, "dance,2026-03-01T00:00:00Z,v1,i1,1"]) + "\n")
    return path


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "var"


def view(event_id: str, ts: int, *items: str, **fields: object) -> InteractionEvent:
    found = tuple(EventItem(item, item_category="c", item_category2="d") for item in items)
    return InteractionEvent(event_id, "view_item", ts, "v", items=found, **fields)


@pytest.fixture
def intake(store) -> Iterator[Intake]:
    """The door of the service, writing to the store's log."""
    intake = Intake(StoreLayout(store), Visitors(MemoryStore(lambda: NOW)), lambda: NOW)
    yield intake
    intake.close()


def submit(intake: Intake, *events: InteractionEvent | InvalidEventError) -> None:
    raws = [
        msgspec.json.encode(event) if isinstance(event, InteractionEvent) else b'{"event_type":"x"}'
        for event in events
    ]
    intake.submit(events, raws).result(timeout=30)


def test_ingest_says_what_became_of_every_row(csv, store):
    result = run("ingest", "--log", csv, "--format", "desirepath-csv", "--store", store)
    assert (result["rows_in"], result["kept"], result["duplicates"]) == (61, 60, 0)
    assert sum(result["rejected"].values()) == 1
    assert read_interactions(StoreLayout(store)).collect().height == 60
    before = table_bytes(StoreLayout(store))
    again = run("ingest", "--log", csv, "--format", "desirepath-csv", "--store", store)
    assert (again["kept"], again["duplicates"]) == (0, 60)
    assert table_bytes(StoreLayout(store)) == before


def test_a_file_of_which_nothing_is_kept_is_refused_aloud(tmp_path, store):
    text = tmp_path / "events.jsonl"
    text.write_text('{"event": "x"}\nno json\n')
    arguments = ["--log", str(text), "--format", "desirepath-jsonl", "--store", str(store)]
    result = CliRunner().invoke(app, ["ingest", *arguments, "--json"])
    assert isinstance(result.exception, RefusedError)
    assert "none of its 2 rows was kept (bad_json 1, unknown_field 1)" in str(result.exception)
    report = json.loads(result.stdout)
    assert sum(report["rejected"].values()) == report["rows_in"] == 2
    assert len(Path(report["quarantine"]).read_text().splitlines()) == 2


def test_an_empty_file_is_nothing_new(tmp_path, store):
    empty = tmp_path / "events.jsonl"
    empty.touch()
    arguments = ["--log", str(empty), "--format", "desirepath-jsonl", "--store", str(store)]
    result = CliRunner().invoke(app, ["ingest", *arguments])
    assert result.exit_code == 0
    assert "nothing new in events.jsonl" in result.stderr


def test_people_get_a_table_on_stderr_and_nothing_on_stdout(csv, store):
    result = CliRunner().invoke(app, ["ingest", "--log", str(csv), "--store", str(store)])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "looks like desirepath-csv" in " ".join(result.stderr.split())
    assert "rejected" in result.stderr


def test_ingest_options_reach_the_table(csv, store):
    catalogue = csv.with_name("items.csv")
    catalogue.write_text("item_id,available\ni0,false\ni9,true\n,true\n")
    result = run(
        "ingest",
        *("--log", csv, "--store", store, "--catalogue", catalogue, "--session-gap", 599),
    )
    assert result["catalogue"]["unavailable"] == 1
    assert result["catalogue"]["rejected"] == {"missing_item_id": 1}
    # Each visitor comes back every ten minutes: longer than the gap, so each view is a session.
    assert read_interactions(StoreLayout(store)).collect()["session_id"].n_unique() == 60
    assert isinstance(
        failure("ingest", "--log", csv, "--store", store, "--session-gap", 600), ConfigError
    )


def test_time_zones_reach_the_loader(tmp_path, store):
    path = tmp_path / "local.csv"
    path.write_text("event_type,ts,visitor_id,item_id\nview_item,2026-03-01T12:00:00,v,i\n")
    run("ingest", "--log", path, "--store", store, "--time-zone", "Europe/Berlin")
    (ts,) = read_interactions(StoreLayout(store)).collect()["ts"]
    assert ts == datetime(2026, 3, 1, 11, tzinfo=UTC)


def test_strict_reaches_the_loader(tmp_path, store):
    path = tmp_path / "events.csv"
    path.write_text("timestamp,visitorid,event,itemid,transactionid\n1430622011289,1,view,2,\n")
    arguments = ("ingest", "--log", path, "--format", "retailrocket", "--store", store)
    assert isinstance(failure(*arguments, "--strict"), DataError)
    assert run(*arguments)["kept"] == 1


def test_refusals_say_what_would_be_accepted(tmp_path, csv, store):
    unknown = failure("ingest", "--log", csv, "--format", "csv", "--store", store)
    assert isinstance(unknown, InvalidInputError)
    assert "desirepath-csv" in str(unknown)
    odd = tmp_path / "odd.bin"
    odd.write_bytes(b"\x00\x01")
    assert "--format" in str(failure("ingest", "--log", odd, "--store", store))
    assert isinstance(failure("ingest", "--log", tmp_path / "absent", "--store", store), DataError)


def test_the_services_own_log_is_read_from_where_the_last_ingest_ended(intake, store):
    submit(intake, view("a", NOW - 2, "i", "j", search_term="tea"), view("b", NOW - 1))
    first = run("ingest", "--store", store)
    assert (first["rows_in"], first["kept"], first["events_kept"]) == (3, 3, 2)
    before = table_bytes(StoreLayout(store))
    assert run("ingest", "--store", store)["rows_in"] == 0
    assert table_bytes(StoreLayout(store)) == before
    submit(intake, view("c", NOW, "i"))
    assert run("ingest", "--store", store)["rows_in"] == 1
    rows = read_interactions(StoreLayout(store)).collect()
    assert rows["event_id"].to_list() == ["a", "a", "b", "c"]
    assert rows["item_id"].to_list() == ["i", "j", None, "i"]
    assert rows["category"].to_list() == ["c/d", "c/d", None, "c/d"]
    assert rows["available_at"].to_physical().to_list() == [NOW] * 4
    assert rows["ts"].to_physical().to_list() == [NOW - 2, NOW - 2, NOW - 1, NOW]


def test_a_log_cannot_be_the_published_file(intake, store):
    submit(intake, view("a", NOW, "i"))
    assert isinstance(failure("ingest", "--store", store, "--strict"), ConfigError)


def test_a_log_read_again_from_its_beginning_adds_nothing(intake, store):
    submit(intake, *(view(f"e{n}", NOW - n * MINUTE, "i") for n in range(50)))
    run("ingest", "--store", store)
    digest = data_digest(StoreLayout(store))
    for positions in (store / "tables" / "sources").glob("log-*.json"):
        positions.unlink()
    again = run("ingest", "--store", store)
    assert (again["kept"], again["duplicates"]) == (0, 50)
    assert data_digest(StoreLayout(store)) == digest


def test_damaged_log_records_are_counted(intake, store):
    submit(intake, view("a", NOW, "first"), view("b", NOW, "second"))
    submit(intake, view("c", NOW, "third"))
    intake.close()
    (segment,) = (
        path for path in StoreLayout(store).log.iterdir() if b"second" in path.read_bytes()
    )
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"second", b"secomd", 1))
    result = run("ingest", "--store", store)
    assert result["skipped"] == {"log_damaged": 1}
    assert result["kept"] == 2


def test_replay_sends_mended_rejects_through_the_log(intake, store):
    """An event that was refused by a rule that has gone meanwhile is accepted on replay."""
    event = view("a", NOW - MINUTE, "i")
    raw = (
        b'{"event_type":"view_item","event_id":"a","ts":%d,"visitor_id":"v",'
        b'"items":[{"item_id":"i"}]}'
    )
    refusal = InvalidEventError("rule_of_old", "not accepted then")
    intake.submit([refusal], [raw % ((NOW - MINUTE) // 1000)]).result(timeout=30)
    intake.close()
    result = run("ingest", "--store", store, "--replay-quarantine")
    assert result["replay"]["submitted"] == {"accepted": 1}
    assert result["kept"] == 1
    rows = read_interactions(StoreLayout(store)).collect()
    assert rows.select("event_id", "item_id").row(0) == (event.event_id, "i")
    again = run("ingest", "--store", store, "--replay-quarantine")
    assert (again["replay"]["already_done"], again["rows_in"]) == (1, 0)


def test_check_exits_with_1_when_a_gate_trips(csv, store):
    run("ingest", "--log", csv, "--store", store)
    green = run("check", "--store", store, "--at", "2026-03-02T06:00:00")
    assert green["is_refused"] is False
    assert green["day"] == "2026-03-01"
    refused = failure("check", "--store", store, "--at", "2026-03-09")
    assert isinstance(refused, RefusedError)
    assert str(refused) == "2026-03-01 is not fit to learn from: freshness"
    limits = csv.with_name("limits.toml")
    limits.write_text("max_age_hours = 1000\n")
    relaxed = run("check", "--store", store, "--at", "2026-03-09", "--limits", limits)
    assert relaxed["is_refused"] is False
    limits.write_text("max_age = 1\n")
    assert isinstance(failure("check", "--store", store, "--limits", limits), ConfigError)
    limits.write_text("max_age_hours = ")
    assert isinstance(failure("check", "--store", store, "--limits", limits), ConfigError)
    assert isinstance(failure("check", "--store", store, "--day", "2026-01-01"), DataError)


def test_check_shows_every_gate_also_when_it_refuses(csv, store):
    run("ingest", "--log", csv, "--store", store)
    result = CliRunner().invoke(app, ["check", "--store", str(store), "--at", "2026-03-09"])
    assert "freshness" in result.stderr
    assert "NO" in result.stderr
    assert "top_item" in result.stderr


def test_datasets_lists_what_can_be_ingested():
    from feature_store.loaders.registry import FORMATS

    result = run("datasets")
    assert {found["format"] for found in result["formats"]} == set(FORMATS)
    assert all(found["format_name"] in FORMATS for found in result["datasets"])
    assert all(found["licence"] for found in result["datasets"])


def test_datasets_lists_what_a_store_holds(csv, store):
    run("ingest", "--log", csv, "--store", store)
    result = run("datasets", "--store", store)
    assert result["days"] == [{"day": "2026-03-01", "rows": 60, "events": 60}]
    (source,) = result["sources"]
    assert (source["name"], source["kept"]) == ("events.csv", 60)
    assert result["data_digest"] == data_digest(StoreLayout(store))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "format_name", "is_published"),
    [
        ("rees46_sample/events.csv", "rees46", None),
        ("retailrocket_sample/events.csv", "retailrocket", False),
        ("online_retail_ii/transactions.parquet", "online-retail", None),
        ("gowalla/train.txt", None, None),
    ],
)
def test_datasets_tells_what_a_file_is(shared_path, file, format_name, is_published):
    result = run("datasets", "--path", shared_path / "data" / file)
    assert (result["format_name"], result["is_published"]) == (format_name, is_published)
    assert len(result["sha256"]) == 64


@pytest.mark.parametrize(
    ("name", "text", "format_name"),
    [
        ("a.jsonl", '{"event_name":"x","event_timestamp":1,"user_pseudo_id":"y"}', "ga4-jsonl"),
        ("a.jsonl", '{"type":"track","messageId":"1"}', "segment-jsonl"),
        ("a.ndjson", '{"event_type":"view_item"}', "desirepath-jsonl"),
        ("a.csv", "event_type,ts,visitor_id\n", "desirepath-csv"),
        ("a.csv", '"event_type","ts","visitor_id"\n', "desirepath-csv"),
        ("a.csv", "one,two\n", None),
        (
            "a.csv",
            "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID\n",
            "online-retail",
        ),
    ],
)
def test_datasets_tells_formats_by_their_columns(tmp_path, name, text, format_name):
    path = tmp_path / name
    path.write_text(text)
    assert run("datasets", "--path", path)["format_name"] == format_name


def test_datasets_looks_into_folders_and_refuses_what_is_unreadable(tmp_path, intake, store):
    submit(intake, view("a", NOW, "i"))
    assert run("datasets", "--path", StoreLayout(store).log)["format_name"] == "desirepath-log"
    folder = tmp_path / "parts"
    folder.mkdir()
    assert isinstance(failure("datasets", "--path", folder), DataError)
    columns = {"event_type": ["x"], "ts": [1], "visitor_id": ["v"]}
    pl.DataFrame(columns).write_parquet(folder / "a.parquet")
    assert run("datasets", "--path", folder)["format_name"] == "desirepath-parquet"
    (folder / "a.parquet").write_bytes(b"PAR1")
    assert isinstance(failure("datasets", "--path", folder / "a.parquet"), DataError)
    (folder / "a.jsonl").write_text("[1]")
    assert isinstance(failure("datasets", "--path", folder / "a.jsonl"), DataError)


def test_every_verb_and_option_has_help():
    for command in app.registered_commands:
        result = CliRunner().invoke(app, [command.callback.__name__, "--help"])
        assert result.exit_code == 0
        assert command.callback.__doc__.split(".")[0].split()[0] in result.output
