"""The folder of shared metrics: it goes with the service, or with the start of the next one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from serving.metrics_folder import metrics_folder

# It is killed with a child that lives on until its input ends.
SERVICE = """
import os, signal, sys
from serving.metrics_folder import metrics_folder
with metrics_folder() as folder:
    (folder / "counter_1.db").touch()
    if os.fork():
        os.kill(os.getpid(), signal.SIGKILL)
    print(folder, flush=True)
    sys.stdin.read()
    os._exit(0)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_it_is_there_as_long_as_the_service(home: Path) -> None:
    with metrics_folder() as first, metrics_folder() as second:
        assert first != second
        assert {*home.iterdir()} == {first, second}
    assert not [*home.iterdir()]


def test_that_of_a_killed_service_goes_when_its_last_process_has_gone(home: Path) -> None:
    command = [sys.executable, "-c", SERVICE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as service:
        assert service.stdin and service.stdout  # noqa: PT018 - for mypy
        left = Path(service.stdout.readline().strip())
        service.wait()
        with metrics_folder():
            assert [path.name for path in left.iterdir()] == ["counter_1.db"]
        service.stdin.close()
        assert not service.stdout.read()  # the child has gone
    with metrics_folder() as folder:
        assert [*home.iterdir()] == [folder]


def test_what_is_no_folder_is_left_alone(home: Path) -> None:
    kept = home / "kept"
    kept.mkdir()
    (home / "desirepath-workers-a").symlink_to(kept)
    (home / "desirepath-workers-b").touch()
    with metrics_folder():
        assert kept.is_dir()
    assert len([*home.iterdir()]) == 3
