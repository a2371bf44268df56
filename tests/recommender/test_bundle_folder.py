from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from recommender import bundle_folder
from recommender.bundle import load_bundle
from recommender.bundle_folder import KEPT_VERSIONS, current, publish, read_pointer, rollback
from recommender.errors import BundleError
from tests.bundles import saved_bundle


def _made(tmp_path: Path, seed: int) -> tuple[Path, str]:
    folder = tmp_path / f"source-{seed}"
    return folder, saved_bundle(folder, seed=seed).version


def test_publish_then_current_then_rollback(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    assert current(root) is None
    (first, one), (second, two) = _made(tmp_path, 1), _made(tmp_path, 2)
    assert publish(first, root) == one
    assert publish(second, root) == two
    assert current(root) == root / two
    assert rollback(root) == one
    assert load_bundle(current(root) or root).version == one
    with pytest.raises(BundleError, match="no earlier bundle"):
        rollback(root)


def test_publishing_the_current_version_again_changes_nothing(tmp_path: Path) -> None:
    root, (source, _) = tmp_path / "bundles", _made(tmp_path, 1)
    publish(source, root)
    before = read_pointer(root)
    publish(source, root)
    assert read_pointer(root) == before


def test_rollback_passes_over_a_damaged_version(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    versions = [publish(_made(tmp_path, seed)[0], root) for seed in (1, 2, 3)]
    (root / versions[1] / "popularity.npy").write_bytes(b"")
    assert rollback(root) == versions[0]


def test_old_versions_are_removed_and_the_pointer_names_only_what_is_there(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    for seed in range(KEPT_VERSIONS + 3):
        publish(_made(tmp_path, seed)[0], root)
    pointer = read_pointer(root)
    assert pointer is not None
    assert len(pointer.previous) == KEPT_VERSIONS
    kept = {path.name for path in root.iterdir() if path.is_dir()}
    assert kept == {pointer.version, *pointer.previous}


def test_a_damaged_bundle_is_not_published(tmp_path: Path) -> None:
    root, (good, version) = tmp_path / "bundles", _made(tmp_path, 1)
    publish(good, root)
    bad, _ = _made(tmp_path, 2)
    (bad / "popularity.npy").write_bytes(b"")
    with pytest.raises(BundleError):
        publish(bad, root)
    assert current(root) == root / version


@pytest.mark.parametrize(
    "content", ["", "{}", '{"version": "../../etc", "previous": []}', "[1]", "[" * 100_000]
)
def test_a_broken_pointer_is_an_error_not_a_path(tmp_path: Path, content: str) -> None:
    (tmp_path / "current.json").write_text(content)
    with pytest.raises(BundleError):
        current(tmp_path)


STEPS = ("write_synced", "sync_folder", "load_bundle", "_copy", "_point", "_remove_old")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("call", range(3))
def test_a_crash_at_any_step_leaves_the_old_bundle_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, call: int
) -> None:
    root = tmp_path / "bundles"
    (first, one), (second, two) = _made(tmp_path, 1), _made(tmp_path, 2)
    publish(first, root)
    real, calls = getattr(bundle_folder, step), iter(range(1000))

    def crash(*args: object) -> object:
        if next(calls) == call:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(bundle_folder, step, crash)
        with contextlib.suppress(KeyboardInterrupt):
            publish(second, root)
    folder = current(root)
    assert folder is not None
    assert load_bundle(folder).version in {one, two}
    assert publish(second, root) == two
    assert not list(root.glob(".tmp-*"))
