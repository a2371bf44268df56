"""The benchmark over HTTP: what it parses, writes and computes, and one very small run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.latency import arguments_of, check, memory_ratio
from benchmarks.latency_parts import (
    arguments,
    contestants,
    figures,
    known,
    large,
    load,
    peers,
    phases,
    processes,
    scale,
    twins,
    visitors,
)
from benchmarks.latency_parts.figures import CONNECTIONS
from feature_store.layout import StoreLayout
from feature_store.online.lmdb import LmdbStore
from feature_store.online.redis import RedisStore
from feature_store.online.visitors import Visitors, linked_key
from recommender.bundle import load_bundle, save_bundle
from recommender.bundle_folder import current, publish
from recommender.catalogue import Catalogue
from recommender.errors import DataError, InvalidInputError
from recommender.merchandising.rules_file import parse_rules
from recommender.placements import parse_placements, read_placements
from recommender.terms import ADD_TO_CART, VIEW_ITEM_LIST
from serving.bundle_source import ask_canaries
from tests import redis_server
from tests.bundles import shop_arrays, shop_bundle, shop_info
from tests.redis_server import needs_redis
from training.demo.trial import free_port
from training.models import reach

NOW = 1_795_288_000_000_000
LINE = 'FIGURES {"requests":300,"micros":1500000,"p50":2500.0,"p99":9000.0,"status":2,"broken":3}\n'


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "bundle", shop_arrays(), shop_info())
    return tmp_path / "bundle"


@pytest.fixture
def catalogue(bundle: Path) -> Catalogue:
    return load_bundle(bundle).catalogue


def shot(name: str, connections: int, number: int, per_second: float, **more: Any) -> figures.Shot:
    given = {"p50_ms": 1.0, "p99_ms": 2.0, "cpu_us": 100.0, "errors": 0} | more
    return figures.Shot(name, connections, number, per_second, **given)


def test_the_last_line_of_wrk_is_read_among_its_other_text() -> None:
    answered = load.parsed(f"Running 1s test @ http://127.0.0.1\n  2 threads\n\n{LINE}")
    assert answered == load.Answered(300, 1.5, 2.5, 9.0, 5)
    assert answered.per_second == 200


@pytest.mark.parametrize(
    "output",
    [
        "unable to connect to 127.0.0.1:1 Connection refused\n",
        'FIGURES {"requests":1}\n',
        LINE.replace("300", "0", 1),
    ],
)
def test_a_run_without_figures_is_no_result(output: str) -> None:
    with pytest.raises(DataError):
        load.parsed(output)


@given(st.text())
def test_a_lua_text_holds_nothing_that_lua_would_take_as_its_own(text: str) -> None:
    literal = load.lua_text(text)
    inner = literal[1:-1]
    assert literal[0] == literal[-1] == '"'
    coded, at = bytearray(), 0
    while at < len(inner):  # what Lua does: three digits behind a backslash are one byte
        size = 4 if inner[at] == "\\" else 1
        part = inner[at : at + size]
        coded += bytes([int(part[1:])]) if size == 4 else part.encode("ascii")
        at += size
    assert coded.decode() == text


def test_a_script_has_all_bodies_and_headers() -> None:
    script = load.lua_script("POST", "/v1/x", {"X-API-Key": "k"}, ['{"a":1}', "b"])
    assert load.lua_text('{"a":1}') in script
    assert load.lua_text("b") in script
    assert f"wrk.headers[{load.lua_text('X-API-Key')}] = {load.lua_text('k')}" in script
    assert "false" not in script
    assert "false" in load.lua_script("GET", "/", {})


def test_processor_time_is_read_behind_any_name() -> None:
    fields = ["S", *("0" for _ in range(10)), "100", "50", "20", "30", "0"]
    stat = f"17 (a) b ( 9 9) {' '.join(fields)}"
    assert processes.cpu_seconds(stat) == 200 / processes.TICKS_PER_SECOND


def test_memory_is_read_and_its_absence_told() -> None:
    assert processes.pss_mib("Rss: 9999 kB\nPss:  2048 kB\nPss_Dirty: 1 kB\n") == 2
    with pytest.raises(DataError, match="Pss"):
        processes.pss_mib("")


def test_a_ratio_is_one_of_the_same_round() -> None:
    shots = [
        shot("empty", 16, 0, 1000),
        shot("full", 16, 0, 500),
        shot("empty", 16, 1, 100),  # a round that a neighbour slowed down
        shot("full", 16, 1, 60),
        shot("empty", 16, 2, 1000),
        shot("full", 16, 2, 400),
        shot("empty", 1, 0, 10, p50_ms=2.0),
        shot("full", 1, 0, 10, p50_ms=7.0, errors=2),
        shot("full", 64, 0, 10, p50_ms=4.0, p99_ms=10.0, errors=1),
    ]
    found = figures.ratios(shots)
    assert found["full_vs_empty"] == 0.5
    assert figures.spreads(shots)["full_vs_empty"] == (0.4, 0.6)
    assert found["full_p50_vs_empty"] == 3.5
    assert found["p99_vs_p50_64"] == 2.5
    assert found["errors"] == 3
    assert found["canned_vs_empty"] is None  # what was not measured
    assert "canned_vs_empty" not in figures.spreads(shots)


def test_a_row_is_the_median_of_its_rounds_and_all_of_their_errors() -> None:
    shots = [
        shot("full", 16, number, rate, errors=number)
        for number, rate in enumerate((30.0, 10.0, 20.0))
    ]
    (row,) = figures.rows(shots)
    assert (row.per_second, row.per_second_low, row.per_second_high) == (20, 10, 30)
    assert row.errors == 3


def test_the_plain_service_has_neither_pace_nor_kinds_nor_fatigue() -> None:
    shipped = contestants.shipped_placements()
    plain = parse_placements(tomllib.loads(contestants.toml_of(contestants.plain(shipped))))
    full = parse_placements(shipped)
    assert plain.keys() == full.keys()
    for name, place in plain.items():
        assert place.kinds == ("item",)
        assert not place.fatigue.discount
        assert not place.fatigue.item_per_session
        assert not place.fatigue.session_budget
        assert place.pace != full[name].pace
        assert (place.limit, place.exclude) == (full[name].limit, full[name].exclude)


def test_the_canned_service_differs_in_its_static_list_alone() -> None:
    shipped = contestants.shipped_placements()
    document = contestants.toml_of(contestants.canned(shipped, ["a", 'b"\\ü']))
    places, full = parse_placements(tomllib.loads(document)), parse_placements(shipped)
    assert places[visitors.PLACEMENT].static_items == ("a", 'b"\\ü')
    assert {n: p for n, p in places.items() if n != visitors.PLACEMENT} == {
        n: p for n, p in full.items() if n != visitors.PLACEMENT
    }


def test_ten_rules_are_rules_of_this_shop(catalogue: Catalogue) -> None:
    document = tomllib.loads(contestants.toml_of(contestants.ten_rules(catalogue)))
    rules = parse_rules(document, parse_placements(contestants.shipped_placements()))
    assert len(rules.rules) == 10


def test_visits_have_ten_steps_lie_in_the_past_and_are_the_same_again(
    catalogue: Catalogue,
) -> None:
    events = visitors.steps(catalogue, 3, 0, NOW)
    assert events == visitors.steps(catalogue, 3, 0, NOW)
    running = [event for event in events if f"{event['event_id']}".startswith("s-1-")]
    assert len(running) == 10
    assert [event["ts"] for event in running] == sorted(event["ts"] for event in running)  # type: ignore[type-var]
    assert {event["visitor_id"] for event in running} == {visitors.visitor_id(1)}
    assert all(event["ts"] < NOW for event in events)  # type: ignore[operator]
    assert sum(event["event_type"] == ADD_TO_CART for event in running) == 1
    assert len({event["event_id"] for event in events}) == len(events)


def test_what_was_shown_is_told_as_the_service_counts_it() -> None:
    (event,) = visitors.exposures({"v": ("r", ["a", "b"])}, NOW)
    assert event["event_type"] == VIEW_ITEM_LIST
    assert event["items"] == [{"item_id": "a", "index": 1}, {"item_id": "b", "index": 2}]
    assert event["ts"] < NOW  # type: ignore[operator]


def test_batches_lose_nothing() -> None:
    events = [{"event_id": f"{number}"} for number in range(2 * visitors.BATCH + 1)]
    parts = list(visitors.batches(events))
    assert [len(part) for part in parts] == [visitors.BATCH, visitors.BATCH, 1]
    assert [event for part in parts for event in part] == events


def test_quick_asks_less() -> None:
    quick, usual = arguments_of(["--quick"]), arguments_of([])
    assert set(quick.contestants) < set(usual.contestants)
    assert quick.rounds * quick.seconds < usual.rounds * usual.seconds
    assert quick.connections == usual.connections == list(CONNECTIONS)
    assert arguments_of(["--quick", "--rounds", "7"]).rounds == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--contestants empty,flask", "flask"),
        ("--root a --bundle b", "--bundle"),
        ("--rounds 0", "rounds=0"),
        ("--contestants empty --swaps", "workers"),
        ("--contestants empty --open full", "full"),
        ("--visitors 3", "visitors=3"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    words: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/wrk")
    monkeypatch.setattr(arguments, "BINARY", "/usr/bin/redis-server")
    with pytest.raises(InvalidInputError, match=said):
        check(arguments_of(words.split()))


def test_a_contestant_without_its_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/wrk")
    monkeypatch.setattr(arguments, "BINARY", None)
    check(arguments_of(["--contestants", "empty,full"]))
    with pytest.raises(InvalidInputError, match="install redis-server"):
        check(arguments_of(["--contestants", "empty,redis"]))


def test_without_wrk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InvalidInputError, match="install"):
        check(arguments_of([]))


def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    startable = processes.Startable("broken", ("-c", "import sys; sys.exit('no luck')"), 1, "/")
    with pytest.raises(DataError, match=r"broken ended with 1: no luck"):
        processes.start(startable, processes.cores()[0], tmp_path / "log")


def test_a_load_under_swaps_is_compared_with_a_quiet_one() -> None:
    calm, busy = figures.quiet("workers"), figures.swapping("workers")
    shots = [
        shot(calm, 16, 0, 100, p99_ms=10.0),
        shot(busy, 16, 0, 90, p99_ms=12.0),
        shot("alone", 16, 0, 50),
        shot("workers", 16, 0, 85),
    ]
    found = figures.ratios(shots)
    assert (found["swap_throughput"], found["swap_p99"]) == (0.9, 1.2)
    assert found["workers2_vs_1"] == 1.7


def test_a_further_worker_is_compared_with_one_process() -> None:
    assert memory_ratio({"alone": {"pss_mib": 1000.0}, "workers": {"pss_mib": 1250.0}}) == 0.25
    assert memory_ratio({"workers": {"pss_mib": 1250.0}}) is None


def test_processes_below_a_process_are_found() -> None:
    words = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", words], stdin=subprocess.PIPE) as child:
        until = time.monotonic() + 20
        while len(found := processes.family(child.pid)) < 2 and time.monotonic() < until:
            time.sleep(0.02)
        child.communicate(b"\n")
    assert found[0] == child.pid
    assert len(found) == 2


SIZE = large.Size(items=130, visitors=40, factors=8)


@pytest.fixture
def grown(bundle: Path, tmp_path: Path) -> Path:
    model = large.factor_model(SIZE)
    large.grow(load_bundle(bundle), SIZE, model, tmp_path / "grown")
    large.save_factors(model, tmp_path / "factors")
    return tmp_path / "grown"


def test_a_grown_model_verifies_and_answers(grown: Path, bundle: Path) -> None:
    model, small = load_bundle(grown), load_bundle(bundle)
    assert len(model.catalogue) == SIZE.items
    assert model.sources.keys() == small.sources.keys()
    assert model.arrays["item_factors"].shape == (SIZE.items, SIZE.factors)
    ask_canaries(model, read_placements().values())
    n = len(small.catalogue)
    idx = model.arrays["neighbours_item_knn_idx"]
    expected = small.arrays["neighbours_item_knn_idx"][np.arange(SIZE.items) % n]
    assert np.array_equal(np.where(idx < 0, idx, idx % n), expected)
    assert idx.max() >= n  # neighbours are spread over the copies


def test_growing_is_the_same_again(grown: Path, bundle: Path, tmp_path: Path) -> None:
    large.grow(load_bundle(bundle), SIZE, large.factor_model(SIZE), tmp_path / "again")
    assert load_bundle(tmp_path / "again").version == load_bundle(grown).version


def test_past_visits_of_a_grown_model_are_indexed_both_ways(tmp_path: Path) -> None:
    small = shop_bundle()
    large.grow(small, SIZE, large.factor_model(SIZE), tmp_path / "grown")
    arrays = load_bundle(tmp_path / "grown").arrays
    bounds, by_item = arrays["session_offsets"], arrays["item_sessions_offsets"]
    for item in range(0, SIZE.items, 13):
        visits = arrays["item_sessions"][by_item[item] : by_item[item + 1]]
        for visit in range(len(bounds) - 1):
            held = item in arrays["session_items"][bounds[visit] : bounds[visit + 1]]
            assert held == (visit in visits)


@pytest.mark.parametrize("kind", ["lmdb", pytest.param("redis", marks=needs_redis)])
def test_a_store_that_was_filled_knows_its_shoppers(
    catalogue: Catalogue, tmp_path: Path, kind: str
) -> None:
    with ExitStack() as stack:
        store: LmdbStore | RedisStore
        if kind == "redis":
            server = redis_server.started(tmp_path / "redis")
            stack.callback(server.stop)
            known.fill(tmp_path, catalogue, 250, 0, server.url)
            store = RedisStore(server.target, phases.now, link=linked_key)
        else:
            known.fill(tmp_path, catalogue, 250, 0)
            store = LmdbStore(StoreLayout(tmp_path).online, phases.now)
        stack.callback(store.close)
        assert len(list(store.scan("v:known-"))) == 250
        state = Visitors(store).get("known-249", None, datetime.now(UTC))
        assert len(state.recent) >= 10


def test_a_twin_differs_in_its_version_alone(bundle: Path, tmp_path: Path) -> None:
    twin = load_bundle(twins.twin_of(bundle, tmp_path / "twin"))
    one = load_bundle(bundle)
    assert twin.version != one.version
    assert all(np.array_equal(twin.arrays[name], array) for name, array in one.arrays.items())


@pytest.mark.parametrize(("searched_bytes", "is_of_pool"), [(1 << 20, False), (1_000, True)])
def test_a_grown_model_chooses_as_one_of_its_size_would(
    bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    searched_bytes: int,
    is_of_pool: bool,
) -> None:
    monkeypatch.setattr(reach, "SEARCHED_BYTES", searched_bytes)
    large.grow(load_bundle(bundle), SIZE, large.factor_model(SIZE), tmp_path / "grown")
    assert load_bundle(tmp_path / "grown").sources["als"].is_of_pool is is_of_pool


def test_an_exact_twin_searches_all_of_the_catalogue(tmp_path: Path) -> None:
    info = shop_info()
    of_pool = {**info.sources["als"].params, "of_pool": 1.0}
    sources = {**info.sources, "als": replace(info.sources["als"], params=of_pool)}
    save_bundle(tmp_path / "bundle", shop_arrays(), replace(info, sources=sources))
    assert load_bundle(tmp_path / "bundle").sources["als"].is_of_pool
    twin = load_bundle(twins.exact_twin_of(tmp_path / "bundle", tmp_path / "twin"))
    assert not twin.sources["als"].is_of_pool
    assert twin.sources.keys() == info.sources.keys()


def test_bundles_are_linked_and_pointed_at_apart(bundle: Path, tmp_path: Path) -> None:
    version = publish(bundle, tmp_path / "shared")
    for name in ("a", "b"):
        contestants.link_bundles(tmp_path / "shared", tmp_path / name)
    contestants.point(tmp_path / "a", version)
    folder = current(tmp_path / "a")
    assert folder is not None
    assert load_bundle(folder).version == version
    assert current(tmp_path / "b") is None


def test_peers_are_asked_for_a_shopper() -> None:
    assert json.loads(peers.question(peers.TUTORIAL, 7)) == {"user_id": "u7"}
    asked = json.loads(peers.question(peers.MLFLOW, 7))
    assert asked == {"dataframe_records": [{"user_id": "u7"}]}


def test_the_picture_of_sizes_is_drawn(tmp_path: Path) -> None:
    found = [{"items": 10**n, "cpu_us": 1000.0 + n} for n in (4, 5, 6)]
    scale.draw(found, tmp_path / "out")
    assert (tmp_path / "out" / scale.PICTURE).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_service_of_a_tutorial_answers(grown: Path, tmp_path: Path) -> None:
    port = free_port()
    startable = peers.startable(peers.TUTORIAL, tmp_path / "t", grown.parent / "factors", port)
    server = processes.start(startable, processes.cores()[0], tmp_path / "log")
    try:
        peers.check_answer(peers.TUTORIAL, server.url, visitors.ASKED_ITEMS)
    finally:
        server.stop()


@pytest.mark.slow
def test_all_contestants_answer_without_an_error(bundle: Path) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not on PATH: NOTHING of the load over HTTP is tested here")
    words = "-m benchmarks.latency --rounds 1 --seconds 1 --visitors 20 --connections 1,16 --json"
    names = [name for name in contestants.OWN if redis_server.BINARY or name != contestants.REDIS]
    more = ["--contestants", ",".join(names), "--swaps", "--open", "empty"]
    command = [sys.executable, *words.split(), *more, "--bundle", f"{bundle}"]
    done = subprocess.run(command, cwd=processes.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["errors"] == 0
    missing = {name for name in figures.RATIOS if result[name] is None}
    # 64 connections were not asked for, nor the peers, which take minutes to start.
    assert missing == {
        "p99_vs_p50_64",
        "full_vs_mlflow_1",
        "full_vs_mlflow_16",
        "full_vs_tutorial_16",
    } | ({"redis_vs_full"} if redis_server.BINARY is None else set())
    assert {(row["contestant"], row["connections"]) for row in result["rows"]} >= {
        (name, connections) for name in names for connections in (1, 16)
    }
    assert result["open_loop"].keys() == {"empty"}
    assert result["worker_memory_ratio"] is not None
    assert result["swaps"].keys() == {"alone", "workers"}
    assert all(state["pss_mib"] > 0 for state in result["processes"].values())
    assert result["processes"]["canned"]["fallback_levels"] == ["static"]
