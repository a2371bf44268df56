from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from recommender.bundle import load_bundle
from recommender.bundle_folder import CHALLENGER_POINTER, current, publish, read_pointer
from recommender.errors import BundleError, RefusedError
from tests.bundles import saved_bundle
from training.deliver import (
    Delivery,
    deliver,
    deliver_beside,
    held,
    open_lock,
    roll_back,
)
from training.registry import RegisteredModel, RegistryError
from training.watching import Schedule, watch

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Shelf:
    """A registry made of folders: what each alias names, and how it misbehaves."""

    bundles: dict[str, Path] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    is_down: bool = False
    spoil: Callable[[Path], None] = lambda _: None

    def put(self, name: str, folder: Path) -> str:
        self.bundles[name] = folder
        self.claims[name] = load_bundle(folder).version
        return self.claims[name]

    def require(self, name: str) -> RegisteredModel:
        if self.is_down:
            raise RegistryError("registry http://127.0.0.1:1: look up champion: refused")
        return RegisteredModel("1", "run", self.claims[name])

    def fetch(self, registered: RegisteredModel, folder: Path) -> Path:
        name = next(n for n, v in self.claims.items() if v == registered.bundle_version)
        target = Path(shutil.copytree(self.bundles[name], folder / "bundle"))
        self.spoil(target)
        return target


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    saved_bundle(tmp_path / "one", seed=1)
    shelf = Shelf()
    shelf.put("champion", tmp_path / "one")
    return shelf


@pytest.fixture
def second(tmp_path: Path) -> Path:
    saved_bundle(tmp_path / "two", seed=2)
    return tmp_path / "two"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "bundles"


def _in_use(root: Path) -> str | None:
    folder = current(root)
    return None if folder is None else load_bundle(folder).version


def test_a_challenger_stands_beside_and_outlives_deliveries(
    shelf: Shelf, second: Path, root: Path, tmp_path: Path
) -> None:
    deliver(shelf, "champion", root)
    challenger = shelf.put("champion", second)
    delivery = deliver_beside(shelf, "champion", root)
    assert delivery == Delivery("beside", challenger, root / challenger, None, "1")
    assert _in_use(root) != challenger
    assert deliver_beside(shelf, "champion", root).outcome == "unchanged"
    for seed in range(3, 10):  # more than are kept of those that were in use
        saved_bundle(tmp_path / f"{seed}", seed=seed)
        publish(tmp_path / f"{seed}", root)
    assert load_bundle(root / challenger).version == challenger
    pointer = read_pointer(root, CHALLENGER_POINTER)
    assert pointer is not None
    assert pointer.version == challenger
    shelf.spoil = lambda folder: next(folder.glob("*.npy")).write_bytes(b"")
    shelf.put("champion", tmp_path / "one")
    with pytest.raises(BundleError):
        deliver_beside(shelf, "champion", root)
    assert read_pointer(root, CHALLENGER_POINTER) == pointer


def test_delivers_what_the_alias_names(shelf: Shelf, root: Path) -> None:
    delivery = deliver(shelf, "champion", root)
    assert delivery == Delivery(
        "delivered", shelf.claims["champion"], root / shelf.claims["champion"], None, "1"
    )
    assert _in_use(root) == shelf.claims["champion"]


def test_delivering_the_same_again_changes_nothing(shelf: Shelf, root: Path) -> None:
    deliver(shelf, "champion", root)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert deliver(shelf, "champion", root).outcome == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_the_next_delivery_replaces_it(shelf: Shelf, root: Path, second: Path) -> None:
    old = deliver(shelf, "champion", root).bundle_version
    new = shelf.put("champion", second)
    delivery = deliver(shelf, "champion", root)
    assert (delivery.previous, delivery.bundle_version, _in_use(root)) == (old, new, new)


def _lie(shelf: Shelf) -> None:
    shelf.claims["champion"] = "0" * 16


def _die(shelf: Shelf) -> None:
    shelf.is_down = True


def _truncate(shelf: Shelf) -> None:
    def spoil(folder: Path) -> None:
        path = folder / "popularity.npy"
        path.write_bytes(path.read_bytes()[:-4])

    shelf.spoil = spoil


def _flip(shelf: Shelf) -> None:
    def spoil(folder: Path) -> None:
        content = bytearray((folder / "item_factors.npy").read_bytes())
        content[-1] ^= 1
        (folder / "item_factors.npy").write_bytes(content)

    shelf.spoil = spoil


def _add_a_file(shelf: Shelf) -> None:
    shelf.spoil = lambda folder: (folder / "model.pkl").write_bytes(b"\x80\x02]q\x00.")


def _give_nothing(shelf: Shelf) -> None:
    shelf.spoil = shutil.rmtree


@pytest.mark.parametrize("fault", [_lie, _die, _truncate, _flip, _add_a_file, _give_nothing])
def test_a_bad_registry_changes_nothing(
    fault: Callable[[Shelf], None], shelf: Shelf, root: Path, second: Path
) -> None:
    old = deliver(shelf, "champion", root).bundle_version
    shelf.put("champion", second)
    fault(shelf)
    with pytest.raises((RegistryError, BundleError)):
        deliver(shelf, "champion", root)
    assert _in_use(root) == old
    assert not list(root.glob(".incoming-*"))


def test_a_lying_registry_is_told_from_a_broken_one(shelf: Shelf, root: Path) -> None:
    _lie(shelf)
    with pytest.raises(BundleError, match=r"announced bundle 0{16} but gave"):
        deliver(shelf, "champion", root)


# ---- rollback -----------------------------------------------------------------------


def test_rollback_brings_the_earlier_bundle_back(shelf: Shelf, root: Path, second: Path) -> None:
    old = deliver(shelf, "champion", root).bundle_version
    shelf.put("champion", second)
    new = deliver(shelf, "champion", root).bundle_version
    back = roll_back(root)
    assert (back.outcome, back.previous, back.bundle_version) == ("rolled_back", new, old)
    assert _in_use(root) == old


def test_what_was_rolled_back_does_not_come_back_by_itself(
    shelf: Shelf, root: Path, second: Path, tmp_path: Path
) -> None:
    deliver(shelf, "champion", root)
    bad = shelf.put("champion", second)
    deliver(shelf, "champion", root)
    roll_back(root)
    with pytest.raises(RefusedError, match=f"{bad} was rolled back"):
        deliver(shelf, "champion", root)
    assert held(root) == bad
    saved_bundle(tmp_path / "three", seed=3)
    fixed = shelf.put("champion", tmp_path / "three")
    assert deliver(shelf, "champion", root).bundle_version == fixed
    assert held(root) is None


def test_it_comes_back_on_purpose(shelf: Shelf, root: Path, second: Path) -> None:
    deliver(shelf, "champion", root)
    bad = shelf.put("champion", second)
    deliver(shelf, "champion", root)
    roll_back(root)
    assert deliver(shelf, "champion", root, again=True).bundle_version == bad
    assert _in_use(root) == bad


def test_nothing_to_go_back_to(shelf: Shelf, root: Path) -> None:
    deliver(shelf, "champion", root)
    in_use = _in_use(root)
    with pytest.raises(BundleError, match="no earlier bundle"):
        roll_back(root)
    assert _in_use(root) == in_use
    assert held(root) is None


def test_rollback_is_quick_and_needs_no_registry(shelf: Shelf, root: Path, second: Path) -> None:
    deliver(shelf, "champion", root)
    shelf.put("champion", second)
    deliver(shelf, "champion", root)
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from training.deliver import roll_back
        print(roll_back(Path(sys.argv[1])).bundle_version)
        assert not {"mlflow", "polars", "pandas"} & set(sys.modules)
        """
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - start < 10
    assert done.stdout.strip() == _in_use(root)


# ---- several publishers, and dead ones ---------------------------------------------


def test_leftovers_of_a_dead_publisher_are_removed(shelf: Shelf, root: Path) -> None:
    (root / ".incoming-dead").mkdir(parents=True)
    deliver(shelf, "champion", root)
    assert not (root / ".incoming-dead").exists()


def test_a_live_publisher_keeps_its_folder(shelf: Shelf, root: Path) -> None:
    (root / ".incoming-alive").mkdir(parents=True)
    with open_lock(root / ".incoming-alive", wait_seconds=0):
        deliver(shelf, "champion", root)
        assert (root / ".incoming-alive").exists()


def test_a_lock_is_had_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    with open_lock(path, 0) as first, open_lock(path, 0) as other:
        assert (first, other) == (True, False)
    with open_lock(path, 0) as again:
        assert again
    with open_lock(tmp_path / "absent", 0) as absent:
        assert not absent


# ---- watching ------------------------------------------------------------------------


def test_watching_goes_on_through_failures_and_waits_longer(shelf: Shelf, root: Path) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        shelf.is_down = len(waits) in {1, 2, 3}
        return len(waits) == 6

    seen = list(
        watch(lambda: deliver(shelf, "champion", root), Schedule(10, longest_seconds=50), wait)
    )
    outcomes = [each.outcome if isinstance(each, Delivery) else "failed" for each in seen]
    assert outcomes == ["delivered", "failed", "failed", "failed", "unchanged", "unchanged"]
    assert waits == [10, 20, 40, 50, 10, 10]


def test_the_wait_never_falls_below_the_interval_nor_overflows() -> None:
    assert Schedule(900, longest_seconds=600).wait_seconds(0) == 900
    assert Schedule(900, longest_seconds=600).wait_seconds(100_000) == 900
    assert Schedule(30, longest_seconds=600).wait_seconds(100_000) == 600


# ---- a publisher that dies at any point --------------------------------------------

DYING = """
import json, os, sys
from pathlib import Path

sys.path.insert(0, os.getcwd())
from recommender.bundle import load_bundle
from recommender.bundle_folder import current
from training import deliver as job
from training.registry import RegisteredModel

os.fsync = lambda _: None  # the page cache survives a dead process; power cuts are another test
root, one, two, action = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
WATCHED = ("recommender/bundle_folder.py", "training/deliver.py")
WRITERS = ("write_synced", "sync_folder")


class Source:
    def __init__(self, folder):
        self.folder, self.version = folder, load_bundle(folder).version
    def require(self, name):
        return RegisteredModel("1", "run", self.version)
    def fetch(self, registered, folder):
        return self.folder


def prepare(target):
    job.deliver(Source(one), "champion", target)
    if action == "roll_back":
        job.deliver(Source(two), "champion", target)


def act(target):
    if action == "deliver":
        job.deliver(Source(two), "champion", target)
    else:
        job.roll_back(target)


def die_at(line):
    left = line
    def trace(frame, event, arg):
        nonlocal left
        if not frame.f_code.co_filename.endswith(WATCHED) and frame.f_code.co_name not in WRITERS:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                os._exit(9)
        return trace
    return trace


seen = {"one": 0, "two": 0}
names = {load_bundle(one).version: "one", load_bundle(two).version: "two"}
line, finished = 0, False
while not finished:
    target = root / str(line)
    prepare(target)
    if (child := os.fork()) == 0:
        sys.settrace(die_at(line))
        act(target)
        os._exit(0)
    finished = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    seen[names[load_bundle(current(target)).version]] += 1
    # Whoever comes next is not in the way of what the dead one left.
    job.deliver(Source(two), "champion", target, again=True)
    assert names[load_bundle(current(target)).version] == "two"
    assert not list(target.glob(".incoming-*"))
    line += int(sys.argv[5])
print(json.dumps(seen))
"""


@pytest.mark.parametrize(("action", "stride"), [("deliver", 7), ("roll_back", 3)])
def test_a_crash_at_any_line_leaves_the_old_bundle_or_the_new_one(
    action: str, stride: int, tmp_path: Path
) -> None:
    saved_bundle(tmp_path / "one", seed=1)
    saved_bundle(tmp_path / "two", seed=2)
    arguments = [str(tmp_path / name) for name in ("targets", "one", "two")]
    done = subprocess.run(
        [sys.executable, "-c", DYING, *arguments, action, str(stride)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["one"] > 0
    assert seen["two"] > 0


def test_pointer_names_the_delivered_bundle(shelf: Shelf, root: Path) -> None:
    version = deliver(shelf, "champion", root).bundle_version
    pointer = read_pointer(root)
    assert pointer is not None
    assert pointer.version == version
