from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from feature_store.tables import (
    SCHEMA,
    data_digest,
    read_interactions,
    read_manifests,
    scan_stored,
    verify_files,
)
from recommender.errors import ConfigError, DataError, InvalidInputError, StorageError
from tests.tabling import DAY, HOUR, MINUTE, START, bring_in, frame, options, row, table_bytes


def shop(days: int = 4, per_day: int = 30) -> list[dict[str, object]]:
    """A few days of two dozen visitors, some events of several items, some over midnight."""
    rng = random.Random(7)
    rows = []
    for number in range(days * per_day):
        ts = START + rng.randrange(days * DAY)
        visitor = f"v{rng.randrange(24)}"
        rows += [
            row(
                f"e{number}",
                ts,
                visitor,
                item_position=position,
                item_id=f"i{rng.randrange(9)}",
                price=float(position),
                session_id=f"s-{visitor}" if number % 5 == 0 else None,
                user_id=f"u-{visitor}" if number % 7 == 0 else None,
            )
            for position in range(rng.choice((1, 1, 1, 3)))
        ]
    return rows


def test_rows_come_out_as_they_went_in(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = shop()
    report = bring_in(layout, rows)
    found = read_interactions(layout).collect()
    order = ["ts", "event_id", "item_position"]
    assert found.columns == [*SCHEMA.names(), "shopper_id"]
    assert dict(found.schema) == {**SCHEMA, "shopper_id": pl.String()}
    assert found.select(order).equals(found.select(order).sort(order))
    same = [name for name in SCHEMA.names() if name != "session_id"]
    assert found.select(same).equals(frame(rows).sort(order).select(same))
    assert report.rows_in == report.kept == len(rows)
    assert report.events_kept == 120
    assert {day: counts.total for day, counts in report.days.items()} == {
        manifest.event_date: manifest.rows for manifest in read_manifests(layout)
    }


def test_a_second_ingest_adds_nothing_and_changes_no_byte(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [*shop(), row("bad", START, event_type="dance"), row("e0", START - HOUR, "other")]
    first = bring_in(layout, rows)
    before = table_bytes(layout)
    quarantined = Path(first.quarantine).read_bytes()
    second = bring_in(layout, rows)
    assert table_bytes(layout) == before
    assert (second.kept, second.duplicates) == (0, first.kept)
    assert second.rejected == first.rejected
    assert second.days_rewritten == ()
    assert Path(second.quarantine).read_bytes() == quarantined


def test_repeated_rows_of_a_file_are_counted_and_kept_once(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [row("a", START), row("a", START), row("a", START, item_position=1)]
    report = bring_in(layout, rows)
    assert (report.rows_in, report.kept, report.duplicates) == (3, 2, 1)
    assert report.events_kept == 1


def test_a_repetition_keeps_the_earliest_arrival(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, available_at=START + HOUR)])
    report = bring_in(layout, [row("a", START, available_at=START + MINUTE)])
    found = read_interactions(layout).collect()["available_at"].to_physical().to_list()
    assert found == [START + MINUTE]
    assert report.duplicates == 1


def test_another_payload_under_a_known_id_is_a_conflict(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START, price=1.0)])
    report = bring_in(layout, [row("a", START, price=2.0)])
    assert report.rejected == {"conflict": 1}
    (line,) = Path(report.quarantine).read_text().splitlines()
    entry = json.loads(line)
    assert entry["code"] == "conflict"
    assert json.loads(entry["raw"])["price"] == 2.0
    assert read_interactions(layout).collect()["price"].to_list() == [1.0]


@pytest.mark.parametrize("days", [0, 1, 40])
def test_the_earlier_of_two_moments_under_one_id_holds(tmp_path, days):
    layout = StoreLayout(tmp_path)
    early, late = row("a", START), row("a", START + MINUTE + days * DAY)
    bring_in(layout, [early, row("b", START + days * DAY)])
    report = bring_in(layout, [late])
    assert report.rejected == {"conflict": 1}
    assert read_interactions(layout).collect()["event_id"].to_list() == ["a", "b"]


@pytest.mark.parametrize("days", [0, 1, 40])
def test_an_earlier_moment_displaces_a_stored_row(tmp_path, days):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START + MINUTE + days * DAY, price=5.0)])
    report = bring_in(layout, [row("a", START, price=4.0)])
    assert (report.kept, report.displaced) == (1, 1)
    assert read_interactions(layout).collect()["price"].to_list() == [4.0]
    (file,) = layout.quarantine.glob("displaced-*.jsonl")
    assert json.loads(json.loads(file.read_text())["raw"])["price"] == 5.0
    again = bring_in(layout, [row("a", START, price=4.0)])
    assert (again.kept, again.displaced, again.duplicates) == (0, 0, 1)
    assert file.exists()


def test_a_day_that_loses_its_last_row_is_gone(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START + DAY)])
    bring_in(layout, [row("a", START)])
    assert [manifest.event_date for manifest in read_manifests(layout)] == ["2026-03-01"]


@pytest.mark.parametrize("passes", [1, 7])
def test_contested_ids_are_found_in_any_number_of_passes(tmp_path, monkeypatch, passes):
    monkeypatch.setattr("feature_store.contested_ids.HASHES_PER_PASS", 240 // passes + 1)
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row(f"old{n}", START + n * HOUR) for n in range(120)])
    clash = [row(f"old{n}", START + 10 * DAY + n) for n in range(0, 120, 2)]
    within = [row(f"new{n % 20}", START + n * HOUR) for n in range(60)]
    report = bring_in(layout, [*clash, *within])
    assert report.rejected == {"conflict": 60 + 40}
    assert report.kept == 20


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"event_id": None}, "missing_event_id"),
        ({"event_id": ""}, "missing_event_id"),
        ({"visitor_id": None}, "missing_visitor_id"),
        ({"visitor_id": "é" * 129}, "id_too_long"),
        ({"ts": None}, "missing_ts"),
        ({"available_at": None}, "missing_ts"),
        ({"ts": 0}, "ts_out_of_range"),
        ({"event_type": "dance"}, "unknown_event_type"),
        ({"event_type": None}, "unknown_event_type"),
        ({"item_id": ""}, "empty_id"),
        ({"item_position": None}, "invalid_item_position"),
        ({"item_position": -1}, "invalid_item_position"),
        ({"price": float("nan")}, "invalid_number"),
        ({"value": float("inf")}, "invalid_number"),
        ({"reject_reason": "loader_says", "raw": "line 7"}, "loader_says"),
    ],
)
def test_what_cannot_enter_is_quarantined_with_the_reason(tmp_path, fault, reason):
    layout = StoreLayout(tmp_path)
    report = bring_in(layout, [row("good", START), {**row("bad", START), **fault}])
    assert (report.kept, report.rejected) == (1, {reason: 1})
    entry = json.loads(Path(report.quarantine).read_text())
    assert entry["code"] == reason
    assert entry["source"] == "source.parquet"
    assert entry["raw"] == fault.get("raw", entry["raw"])


def test_personal_data_are_not_kept_in_the_quarantine(tmp_path):
    layout = StoreLayout(tmp_path)
    raws = ["ann@example.org", '{"phone":"123"}', '{"title":"telephone"}']
    report = bring_in(layout, [row("x", START, reject_reason="r", raw=raw) for raw in raws])
    lines = [json.loads(line) for line in Path(report.quarantine).read_text().splitlines()]
    assert [line.get("withheld", False) for line in lines] == [True, True, False]
    assert "example" not in Path(report.quarantine).read_text()


ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),  # event
        st.integers(0, 1),  # position
        st.integers(0, 3),  # moment, half days
        st.sampled_from("vw"),
        st.sampled_from([1.0, 2.0, None]),  # price
        st.sampled_from([None, "s"]),
        st.sampled_from([None, None, "u"]),
        st.booleans(),  # valid
    ),
    max_size=14,
)


def drawn_rows(drawn) -> list[dict[str, object]]:
    return [
        row(
            event,
            START + halves * DAY // 2,
            visitor,
            item_position=position,
            price=price,
            session_id=session,
            user_id=user,
            event_type="view_item" if valid else "dance",
        )
        for event, position, halves, visitor, price, session, user, valid in drawn
    ]


@settings(max_examples=40)
@given(ROWS, st.integers(1, 5), st.integers(1, 5), st.data())
def test_the_table_is_a_function_of_the_set_of_rows(
    tmp_path_factory, drawn, batch_rows, chunk_rows, data
):
    """Any order, any division into files, batches and chunks: one table; and counts add up."""
    from feature_store.loaders.options import LoadOptions

    rows = drawn_rows(drawn)
    whole = StoreLayout(tmp_path_factory.mktemp("whole"))
    parts = StoreLayout(tmp_path_factory.mktemp("parts"))
    report = bring_in(whole, rows)
    assert report.rows_in == len(rows) == report.kept + report.duplicates + report.rejected_rows
    assert report.kept == scan_stored(whole).collect().height
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    small = {"load": LoadOptions(batch_rows=batch_rows), "run_rows": 3, "chunk_rows": chunk_rows}
    reports = [bring_in(parts, part, **small) for part in (shuffled[:cut], shuffled[cut:])]
    assert data_digest(parts) == data_digest(whole)
    assert sum(r.rows_in for r in reports) == len(rows)
    held = sum(r.kept for r in reports) - sum(r.displaced for r in reports)
    assert held == report.kept


def test_a_large_shuffled_file_gives_the_same_table(tmp_path):
    rows = frame(shop(days=9, per_day=60))
    plain, shuffled = StoreLayout(tmp_path / "plain"), StoreLayout(tmp_path / "shuffled")
    bring_in(plain, rows)
    bring_in(shuffled, rows.sample(fraction=1, shuffle=True, seed=3), run_rows=100, chunk_rows=90)
    assert data_digest(plain) == data_digest(shuffled)
    assert scan_stored(plain).collect().equals(scan_stored(shuffled).collect())


def test_only_touched_days_are_rewritten(tmp_path):
    layout = StoreLayout(tmp_path)
    rows = [row(f"{day}-{n}", START + day * DAY + n * MINUTE) for day in range(6) for n in range(5)]
    bring_in(layout, rows)
    before = table_bytes(layout)
    report = bring_in(layout, [row("new", START + 3 * DAY + HOUR)])
    changed = {name for name, data in table_bytes(layout).items() if before.get(name) != data}
    assert report.days_rewritten == ("2026-03-04",)
    in_days = {name.split("/")[1] for name in changed if "event_date=" in name}
    assert in_days == {"event_date=2026-03-04"}


def test_digest_windows(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, shop())
    days = [manifest.event_date for manifest in read_manifests(layout)]
    from datetime import date

    first, last = date.fromisoformat(days[0]), date.fromisoformat(days[-1])
    assert data_digest(layout) == data_digest(layout, first, last)
    assert data_digest(layout, first, first) != data_digest(layout, last, last)
    before = data_digest(layout, end=date.fromisoformat(days[-2]))
    bring_in(layout, [row("later", START + 6 * DAY, "new visitor")])
    assert data_digest(layout, end=date.fromisoformat(days[-2])) == before
    assert data_digest(layout) != data_digest(layout, first, last)


def test_a_login_before_the_window_changes_its_digest(tmp_path):
    """It changes the shopper of rows inside, so it is part of what the window depends on."""
    from datetime import date

    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START + DAY)])
    second = date(2026, 3, 2)
    before = data_digest(layout, second, second)
    bring_in(layout, [row("b", START, user_id="u")])
    assert data_digest(layout, second, second) != before


def test_leftovers_of_a_killed_ingest_do_not_exist_for_readers(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, shop())
    rows = read_interactions(layout).collect()
    folder = layout.tables / "interactions" / "event_date=2026-03-01"
    (folder / "part-0000-ffffffffffffffff.parquet").write_bytes(b"half a fi")
    (folder / "tmp-1-manifest.json").write_bytes(b"{")
    (layout.tables / "staging").mkdir()
    (layout.tables / "staging" / "piece-000000.arrow").write_bytes(b"junk")
    assert read_interactions(layout).collect().equals(rows)
    bring_in(layout, [row("new", START + MINUTE)])
    assert read_interactions(layout).collect().height == rows.height + 1
    assert not list(folder.glob("*ffffffffffffffff*"))
    assert not (layout.tables / "staging").exists()


def test_a_reader_that_planned_before_a_rewrite_still_reads(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START)])
    planned = read_interactions(layout)
    bring_in(layout, [row("b", START + 1)])
    assert planned.collect()["event_id"].to_list() == ["a"]
    bring_in(layout, [row("c", START + 2)])
    folder = layout.tables / "interactions" / "event_date=2026-03-01"
    assert len(list(folder.glob("part-*.parquet"))) == 2


def test_manifests_describe_their_files(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, shop())
    manifests = read_manifests(layout)
    assert verify_files(layout, manifests) == []
    path = layout.tables / "interactions" / f"event_date={manifests[0].event_date}"
    part = path / manifests[0].files[0].name
    data = bytearray(part.read_bytes())
    data[50] ^= 1
    part.write_bytes(data)
    assert verify_files(layout, manifests) == [f"{part}: bytes differ from the manifest"]
    part.unlink()
    assert verify_files(layout, manifests) == [f"{part}: missing"]


def test_large_days_are_divided_into_files(tmp_path, monkeypatch):
    monkeypatch.setattr("feature_store.day_table.ROWS_PER_FILE", 15)
    layout = StoreLayout(tmp_path)
    rows = shop(days=1, per_day=60)
    bring_in(layout, rows)
    assert len(read_manifests(layout)[0].files) > 1
    assert read_interactions(layout).collect().height == len(rows)
    assert bring_in(layout, rows).duplicates == len(rows)


def test_an_id_cache_is_rebuilt_when_it_is_missing(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START)])
    for cache in layout.tables.rglob("ids-*.npy"):
        cache.unlink()
    report = bring_in(layout, [row("a", START + DAY)])
    assert report.rejected == {"conflict": 1}


def test_equal_hashes_of_different_ids_are_no_conflict(tmp_path, monkeypatch):
    import numpy as np

    def hash_to_one(ids: pl.Series) -> np.ndarray:
        return np.ones(ids.len(), np.uint64)

    monkeypatch.setattr("feature_store.contested_ids.hash_ids", hash_to_one)
    monkeypatch.setattr("feature_store.id_cache.hash_ids", hash_to_one)
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START)])
    report = bring_in(layout, [row("b", START + DAY), row("a", START + 2 * DAY)])
    assert (report.kept, report.rejected) == (1, {"conflict": 1})


def test_the_session_gap_is_fixed_by_the_first_ingest(tmp_path):
    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START)], session_gap_seconds=600)
    bring_in(layout, [row("b", START)])
    with pytest.raises(ConfigError, match="begun with 600 s"):
        bring_in(layout, [row("c", START)], session_gap_seconds=1800)


def test_unknown_formats_and_missing_files_are_refused(tmp_path):
    layout = StoreLayout(tmp_path)
    with pytest.raises(InvalidInputError, match="accepted: rows"):
        ingest(tmp_path / "x", "y", layout, options())
    with pytest.raises(DataError, match="no such file"):
        ingest(tmp_path / "x", "rows", layout, options())


def test_a_second_ingest_at_the_same_time_is_told_so(tmp_path):
    layout = StoreLayout(tmp_path)
    layout.tables.mkdir(parents=True)
    with (layout.tables / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="held by another ingest"):
            bring_in(layout, [row("a", START)])
    assert bring_in(layout, [row("a", START)]).kept == 1


def test_loader_columns_are_checked(tmp_path):
    layout = StoreLayout(tmp_path)
    with pytest.raises(DataError, match="loader column price"):
        bring_in(layout, frame([row("a", START)]).with_columns(pl.col("price").cast(pl.Float32)))


CHILD = """
import sys
from pathlib import Path
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from tests.tabling import options
ingest(Path(sys.argv[1]), "rows", StoreLayout(Path(sys.argv[2])), options(chunk_rows=20))
"""


def test_a_killed_ingest_is_completed_by_the_next(tmp_path):
    """SIGKILL at many moments; sessions over midnight must come out as if nothing had happened."""
    rows = [row(str(n), START + n * 20 * MINUTE, f"v{n % 3}") for n in range(720)]
    random.Random(5).shuffle(rows)
    source, clean = tmp_path / "rows.parquet", StoreLayout(tmp_path / "clean")
    frame(rows[:360]).write_parquet(tmp_path / "first.parquet")
    frame(rows).write_parquet(source)
    bring_in(clean, rows)
    wanted, killed = data_digest(clean), Counter()
    for attempt in range(4):
        layout = StoreLayout(tmp_path / f"killed-{attempt}")
        ingest(tmp_path / "first.parquet", "rows", layout, options())
        child = subprocess.Popen([sys.executable, "-c", CHILD, source, layout.root])
        folder = layout.tables / "interactions"
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline:
            # From the moment days are being rewritten, a little later each time.
            if (folder / "pending.json").exists():
                time.sleep(attempt * 0.02)
                break
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        killed[child.wait() == -signal.SIGKILL] += 1
        assert scan_stored(layout).collect().height >= 360
        ingest(source, "rows", layout, options())
        assert data_digest(layout) == wanted
        assert not (folder / "pending.json").exists()
    assert killed[True] > 0


@pytest.mark.parametrize("survived", [1, 2, 3])
def test_sessions_of_days_after_an_interrupted_one_are_completed(tmp_path, monkeypatch, survived):
    """A late event joins a chain of days; the ingest dies when some of them are rewritten."""
    from feature_store import table_update

    chain = [row(str(n), START + n * 20 * HOUR) for n in range(1, 7)]
    rows = [*chain, *(row(f"w{n}", START + n * DAY, "w", session_id="s") for n in range(7))]
    late = row("late", START)
    layout, clean = StoreLayout(tmp_path / "killed"), StoreLayout(tmp_path / "clean")
    bring_in(clean, [*rows, late], session_gap_seconds=86_400)
    bring_in(layout, rows, session_gap_seconds=86_400)
    write_days, calls = table_update.write_days, []

    def die_later(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) > survived:
            raise KeyboardInterrupt
        return write_days(*arguments)

    monkeypatch.setattr(table_update, "write_days", die_later)
    with pytest.raises(KeyboardInterrupt):
        bring_in(layout, [late], chunk_rows=1)
    monkeypatch.undo()
    assert data_digest(layout) != data_digest(clean)
    bring_in(layout, [late])
    assert data_digest(layout) == data_digest(clean)


def test_a_full_disk_is_said_and_leaves_the_table_readable(tmp_path, monkeypatch):
    import errno

    from feature_store import atomic_file
    from recommender.errors import StorageFullError

    layout = StoreLayout(tmp_path)
    bring_in(layout, [row("a", START)])

    def refuse(path: Path, data: bytes) -> None:
        path.write_bytes(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_file, "_write_synced", refuse)
    with pytest.raises(StorageFullError, match="no space"):
        bring_in(layout, [row("b", START + 1)])
    monkeypatch.undo()
    assert read_interactions(layout).collect()["event_id"].to_list() == ["a"]
    assert bring_in(layout, [row("b", START + 1)]).kept == 1


SAMPLES = {
    # File; events by type; visitors, items, sessions where the file itself names them.
    "rees46": (
        "rees46_sample/events.csv",
        {"view_item": 17056, "add_to_cart": 165, "purchase": 214},
        (4505, 6493, 5067),
    ),
    "retailrocket": (
        "retailrocket_sample/events.csv",
        {"view_item": 4732, "add_to_cart": 377, "purchase": 60},
        (1092, 2960, None),
    ),
}


@pytest.mark.shared
@pytest.mark.parametrize("source_format", SAMPLES)
def test_real_samples_are_counted_as_published(tmp_path, shared_path, source_format):
    file, types, (visitors, items, sessions) = SAMPLES[source_format]
    layout = StoreLayout(tmp_path)
    path = shared_path / "data" / file
    report = ingest(path, source_format, layout)
    rows = read_interactions(layout).collect()
    assert report.rows_in == report.kept == rows.height == sum(types.values())
    assert dict(rows.group_by("event_type").len().iter_rows()) == types
    assert rows["visitor_id"].n_unique() == visitors
    assert rows["item_id"].n_unique() == items
    assert sessions in (None, rows["session_id"].n_unique())
    before = table_bytes(layout)
    again = ingest(path, source_format, layout)
    assert (again.kept, again.duplicates) == (0, report.rows_in)
    assert table_bytes(layout) == before
