"""What is particular to LMDB: several processes, death, damage, growth, a full disk."""

from __future__ import annotations

import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from feature_store.online import lmdb_file, lmdb_writer
from feature_store.online.lmdb import LmdbStore
from recommender.errors import StorageError

DAY = 86_400
NOW = 1_700_000_000_000_000


def clock() -> int:
    return NOW


def put(store: LmdbStore, key: str, value: bytes) -> None:
    store.update([key], lambda _: {key: value}, DAY)


def command(path: Path, body: str, *arguments: str) -> list[str]:
    """Command line of a process with its own store of the folder `path`."""
    program = (
        "import sys, os, time, resource\n"
        "from pathlib import Path\n"
        "from feature_store.online.lmdb import LmdbStore\n"
        f"store = LmdbStore(Path({str(path)!r}), lambda: {NOW}, map_size_bytes=1 << 20)\n"
    )
    return [sys.executable, "-c", program + textwrap.dedent(body), *arguments]


def child(path: Path, body: str, *arguments: str) -> subprocess.Popen[str]:
    """A process with its own store of the same folder."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(path, body, *arguments), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def output(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


# ---- several processes ---------------------------------------------------------------------------


INCREMENT = """
    def increment(before):
        return {key: b"%d" % (int(value or 0) + 1) for key, value in before.items()}
    for _ in range(int(sys.argv[1])):
        store.update(["left", "right"], increment, 86400)
    store.close()
"""


def test_increments_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "online"
    writers = [child(path, INCREMENT, "200") for _ in range(3)]
    store = LmdbStore(path, clock, map_size_bytes=1 << 20)
    while any(writer.poll() is None for writer in writers):
        left, right = store.get_many(["left", "right"])
        assert left == right, "a reader saw half an update"
    for writer in writers:
        output(writer)
    assert store.get_many(["left", "right"]) == [b"600", b"600"]
    store.close()


def test_a_change_is_seen_by_other_processes_at_once(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online", clock)
    reader = child(
        tmp_path / "online",
        """
        for line in sys.stdin:
            print(store.get_many([line.strip()])[0], flush=True)
        """,
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    for n in range(20):
        put(store, f"k{n}", b"%d" % n)
        reader.stdin.write(f"k{n}\n")
        reader.stdin.flush()
        assert reader.stdout.readline().strip() == repr(b"%d" % n)
    output(reader)
    store.close()


def test_the_map_grows_and_other_processes_follow(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online", clock, map_size_bytes=1 << 18)
    put(store, "first", b"1")
    grower = child(
        tmp_path / "online",
        """
        for n in range(200):
            store.update([f"k{n}"], lambda _: {f"k{n}": b"x" * 50_000}, 86400)
        assert store.counts["map_grown"] >= 3, store.counts
        store.close()
        """,
    )
    output(grower)
    assert store.get_many(["first", "k199"]) == [b"1", b"x" * 50_000]
    put(store, "last", b"2")
    assert len(list(store.scan("k"))) == 200
    store.close()


def test_the_map_grows_under_concurrent_readers_and_writers(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online", clock, map_size_bytes=1 << 18)
    failures: list[BaseException] = []

    def write(first: int) -> None:
        try:
            for n in range(first, first + 60):
                put(store, f"k{n}", b"%d" % n * 8_000)
                assert store.get_many([f"k{n}"]) == [b"%d" % n * 8_000]
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(n * 60,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.counts["map_grown"] >= 3
    assert len(list(store.scan("k"))) == 240
    store.close()


def test_many_small_changes_share_their_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LmdbStore(tmp_path / "online", clock)
    held, release = threading.Event(), threading.Event()

    def hold(_: dict[str, bytes | None]) -> dict[str, bytes | None]:
        held.set()
        release.wait(10)
        return {}

    first = threading.Thread(target=store.update, args=(["held"], hold, DAY))
    first.start()
    held.wait(10)
    others = [threading.Thread(target=put, args=(store, f"k{n}", b"x")) for n in range(100)]
    for thread in others:
        thread.start()
    time.sleep(0.2)
    release.set()
    for thread in (first, *others):
        thread.join()
    assert store.counts["changes"] == 101
    assert store.counts["batches"] <= 10
    store.close()


# ---- death ---------------------------------------------------------------------------------------


def test_what_was_acknowledged_outlives_a_killed_process(tmp_path: Path) -> None:
    path, rng = tmp_path / "online", random.Random(3)
    body = """
        start = int(sys.argv[1])
        for n in range(start, start + 1_000_000):
            store.update([f"a{n}", f"b{n}"], lambda _: {f"a{n}": b"x", f"b{n}": b"x"}, 86400)
            os.write(1, b"%d\\n" % n)
    """
    acknowledged: set[str] = set()
    for round_number in range(6):
        writer = child(path, body, str(round_number * 1_000_000))
        assert writer.stdout is not None
        acknowledged.add(writer.stdout.readline().strip())
        time.sleep(rng.uniform(0, 0.15))
        writer.send_signal(signal.SIGKILL)
        acknowledged |= set(writer.communicate()[0].split())
    store = LmdbStore(path, clock)
    stored = {key for key, _ in store.scan("")}
    assert {f"a{n}" for n in acknowledged} <= stored
    assert {key[1:] for key in stored if key[0] == "a"} == {
        key[1:] for key in stored if key[0] == "b"
    }, "half an update was kept"
    assert store.counts["set_aside"] == 0
    store.close()


def test_a_dead_reader_is_cleared_away(tmp_path: Path) -> None:
    """A killed process leaves its reader slot; it would pin pages for ever."""
    path = tmp_path / "online"
    reader = child(
        path,
        """
        transaction = store._environment.begin()
        transaction.get(b"x")
        print("open", flush=True)
        time.sleep(60)
        """,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "open\n"
    store = LmdbStore(path, clock)
    reader.kill()
    reader.communicate()
    put(store, "a", b"1")
    store._housekeep()
    assert store.counts["stale_readers"] == 1
    store.close()


# ---- fork ----------------------------------------------------------------------------------------


def test_a_store_of_the_parent_refuses_to_work_in_a_forked_child(tmp_path: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
from feature_store.online.lmdb import LmdbStore
from recommender.errors import StorageError
store = LmdbStore(Path({str(tmp_path / "online")!r}), lambda: {NOW})
store.update(["a"], lambda _: {{"a": b"1"}}, 60)
pid = os.fork()
if pid == 0:
    said = 0
    for use in (
        lambda: store.get_many(["a"]),
        lambda: store.update(["a"], lambda _: {{}}, 60),
        lambda: list(store.scan("")),
        store.sweep,
    ):
        try:
            use()
        except StorageError as error:
            said += "open one in each child" in str(error)
    store.close()
    os._exit(0 if said == 4 else 1)
assert os.waitpid(pid, 0)[1] == 0
assert store.get_many(["a"]) == [b"1"]
store.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_each_child_of_a_fork_opens_its_own(tmp_path: Path) -> None:
    program = f"""
import os
from pathlib import Path
from feature_store.online.lmdb import LmdbStore
opened = lambda: LmdbStore(Path({str(tmp_path / "online")!r}), lambda: {NOW})
opened().close()
children = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        store = opened()
        store.update([f"c{{n}}"], lambda _: {{f"c{{n}}": b"x"}}, 60)
        store.close()
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
store = opened()
assert len(list(store.scan("c"))) == 3
store.close()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_second_store_of_one_folder_in_one_process_is_refused(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online", clock)
    with pytest.raises(StorageError, match="already open in this process"):
        LmdbStore(tmp_path / "online", clock)
    put(store, "a", b"1")
    store.close()
    again = LmdbStore(tmp_path / "online", clock)
    assert again.get_many(["a"]) == [b"1"]
    again.close()


# ---- damage --------------------------------------------------------------------------------------


def filled(path: Path) -> bytes:
    store = LmdbStore(path, clock)
    for n in range(300):
        put(store, f"k{n}", os.urandom(700))
    store.close()
    return (path / "data.mdb").read_bytes()


def zero_page(data: bytes, page: int) -> bytes:
    return data[: page * 4096] + b"\0" * 4096 + data[(page + 1) * 4096 :]


DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "cut inside the header": lambda data: data[:100],
    "one page": lambda data: data[:4096],
    "no header": lambda data: b"\0" * 8192 + data[8192:],
    "noise": lambda data: random.Random(1).randbytes(len(data)),
    "text": lambda data: b"not a database\n" * 1000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_and_an_empty_store_takes_its_place(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "online"
    spoiled = DAMAGES[damage](filled(path))
    (path / "data.mdb").write_bytes(spoiled)
    with caplog.at_level(logging.ERROR):
        store = LmdbStore(path, clock)
    assert list(store.scan("")) == []
    assert store.counts["set_aside"] == 1
    assert (tmp_path / f"online.damaged-{NOW}" / "data.mdb").read_bytes() == spoiled
    assert "is damaged" in caplog.text
    assert "desirepath materialise" in caplog.text
    put(store, "a", b"1")
    store.close()
    again = LmdbStore(path, clock)
    assert (again.get_many(["a"]), again.counts["set_aside"]) == ([b"1"], 0)
    again.close()


@pytest.mark.parametrize("page", [5, 20, 40])
def test_a_page_lost_with_the_power_is_found_at_the_first_open_after_the_boot(
    page: int, tmp_path: Path
) -> None:
    """liblmdb would end the process when it meets such a page."""
    path = tmp_path / "online"
    (path / "data.mdb").write_bytes(zero_page(filled(path), page))
    (path / "boot_id").write_text("the boot before")
    store = LmdbStore(path, clock)
    assert (list(store.scan("")), store.counts["set_aside"]) == ([], 1)
    store.close()


def test_a_sound_file_is_kept_after_a_boot(tmp_path: Path) -> None:
    path = tmp_path / "online"
    filled(path)
    (path / "boot_id").unlink()
    store = LmdbStore(path, clock)
    assert (len(list(store.scan(""))), store.counts["set_aside"]) == (300, 0)
    store.close()


def test_a_sound_file_is_not_verified_again_within_a_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "online")

    def never(path: str) -> list[str]:
        raise AssertionError(f"verified {path}")

    monkeypatch.setattr(lmdb_file.lmdb.verify, "verify", never)
    store = LmdbStore(tmp_path / "online", clock)
    assert len(list(store.scan(""))) == 300
    store.close()


def test_a_file_in_use_is_not_moved_away_under_its_users(tmp_path: Path) -> None:
    path = tmp_path / "online"
    store = LmdbStore(path, clock)
    put(store, "a", b"1")
    (path / "boot_id").write_text("the boot before")
    other = child(path, "print(store.get_many(['a']), store.counts['set_aside'])")
    assert output(other) == "[b'1'] 0\n"
    assert store.get_many(["a"]) == [b"1"]
    store.close()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot open"):
        LmdbStore(tmp_path / "file" / "online", clock)


# ---- a full disk ---------------------------------------------------------------------------------


FILL = """
    from recommender.errors import StorageError, StorageFullError
    put = lambda key, value: store.update([key], lambda _: {key: value}, 86400)
    put("kept", b"1")
    begin_limit()
    refusals = []
    for n in range(40):
        try:
            put(f"k{n}", b"x" * 50_000)
        except StorageError as error:
            refusals.append(error)
    assert store.get_many(["kept"]) == [b"1"]
    end_limit()
    put("after", b"x" * 50_000)
    full = sum(isinstance(error, StorageFullError) for error in refusals)
    print(len(refusals), full, len(store.get_many(["after"])[0]))
    store.close()
"""


def test_a_file_that_may_not_grow_fails_the_change_keeps_reads_and_recovers(
    tmp_path: Path,
) -> None:
    limits = """
    def begin_limit():
        size = os.path.getsize(store._path / "data.mdb")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 65_536, resource.RLIM_INFINITY))
    def end_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """
    process = child(tmp_path / "online", textwrap.dedent(limits) + textwrap.dedent(FILL))
    refused, _, size = map(int, output(process).split())
    assert refused > 30
    assert size == 50_000
    again = LmdbStore(tmp_path / "online", clock)
    assert again.get_many(["kept"]) == [b"1"]
    again.close()


def test_a_full_disk_is_called_that_and_the_store_recovers(tmp_path: Path) -> None:
    """A real file system without room, in a name space of its own."""
    limits = """
    def begin_limit():
        pass
    def end_limit():
        os.remove(store._path / "ballast")
    (store._path / "ballast").write_bytes(b"x" * 300_000)
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"',
        str(disk),
    ]
    if subprocess.run([*mount, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user name spaces here: a small file system cannot be mounted")
    fill = command(disk / "online", textwrap.dedent(limits) + textwrap.dedent(FILL))
    done = subprocess.run([*mount, *fill], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    refused, full, size = map(int, done.stdout.split())
    assert refused == full > 10
    assert size == 50_000


# ---- misuse --------------------------------------------------------------------------------------


def test_a_change_that_calls_its_own_store_is_refused_instead_of_hanging(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online", clock)

    def change(_: dict[str, bytes | None]) -> dict[str, bytes | None]:
        put(store, "b", b"1")
        return {}

    with pytest.raises(StorageError, match="may not call its own store"):
        store.update(["a"], change, DAY)
    store.close()


def test_a_writer_that_hangs_elsewhere_does_not_hang_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "online"
    holder = child(
        path,
        """
        def hold(_):
            print("holding", flush=True)
            time.sleep(60)
            return {}
        store.update(["a"], hold, 60)
        """,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    monkeypatch.setattr(lmdb_writer, "WRITE_TIMEOUT_SECONDS", 0.2)
    store = LmdbStore(path, clock)
    with pytest.raises(StorageError, match="another process holds the write lock"):
        put(store, "b", b"1")
    assert store.get_many(["a"]) == [None]
    holder.kill()
    holder.communicate()
    monkeypatch.setattr(lmdb_writer, "WRITE_TIMEOUT_SECONDS", 30)
    put(store, "c", b"2")
    assert store.get_many(["c"]) == [b"2"]
    store.close()


def test_the_writer_sweeps_by_itself(tmp_path: Path) -> None:
    moments = [NOW]
    store = LmdbStore(tmp_path / "online", lambda: moments[0])
    store.update(["short"], lambda _: {"short": b"x"}, 1)
    moments[0] += 3 * DAY * 1_000_000
    store._housekeep()
    assert store.counts["swept"] == 1
    store.close()


def test_what_was_queued_is_committed_before_closing(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "online", clock)
    threads = [threading.Thread(target=put, args=(store, f"k{n}", b"x")) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    again = LmdbStore(tmp_path / "online", clock)
    assert len(list(again.scan("k"))) == 50
    again.close()


def test_a_direct_read_takes_microseconds_per_key(tmp_path: Path) -> None:
    """CPU time, the best of several rounds; the target is 10 us a key on an idle machine."""
    store = LmdbStore(tmp_path / "online", clock)
    names = [f"v:{n}" for n in range(2_000)]
    store.update(names, lambda _: dict.fromkeys(names, b"x" * 700), DAY)
    best = min(
        _seconds_of_one_read(store, names[start : start + 100]) for start in range(0, 2000, 100)
    )
    assert best / 100 * 1e6 <= 10
    store.close()


def _seconds_of_one_read(store: LmdbStore, keys: list[str]) -> float:
    started = time.process_time()
    for _ in range(10):
        store.get_many(keys)
    return (time.process_time() - started) / 10
