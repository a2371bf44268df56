"""Processes that are measured: started on a core of their own, and read through ``/proc``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recommender.errors import DataError

ROOT: Final = Path(__file__).resolve().parents[2]
SETTINGS: Final = "DESIREPATH_"
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
START_SECONDS: Final = 300.0
STOP_SECONDS: Final = 30.0
QUIET_SECONDS: Final = 0.15
# A large model that is loaded beside others, for a swap, takes its time.
DRAIN_SECONDS: Final = 60.0
# Linear algebra of all contestants: one question, one thread, as the service has it.
ONE_THREAD: Final = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}


def cores() -> tuple[frozenset[int], frozenset[int]]:
    """Cores of the server (one) and of the load (the rest; the same where there is no other)."""
    first, *rest = sorted(os.sched_getaffinity(0))
    return frozenset({first}), frozenset(rest or {first})


@contextmanager
def pinned(cpus: Set[int]) -> Iterator[None]:
    """What is started inside runs on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(stat: str) -> float:
    """Processor time in a line of ``/proc/PID/stat``: user and system, ended children included.

    The name, the second field, may hold anything; what follows its last bracket may not.
    """
    numbers = stat.rpartition(")")[2].split()
    return sum(int(each) for each in numbers[11:15]) / TICKS_PER_SECOND


def pss_mib(rollup: str) -> float:
    """Proportional set size in ``/proc/PID/smaps_rollup``, MiB. Raises `DataError`."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise DataError(f"no line 'Pss:' in {rollup[:200]!r}")


def family(pid: int) -> list[int]:
    """A process and all those below it that live, by ``/proc``."""
    found, heads = [], [pid]
    while heads:
        found.append(heads.pop())
        for task in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            with suppress(OSError):  # it has ended since
                heads += [int(each) for each in task.read_text(encoding="utf-8").split()]
    return found


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, with all its processes.

    Parameters
    ----------
    started_seconds
        From the start of the process until it said that it was ready, on its one core.
    """

    name: str
    url: str
    process: subprocess.Popen[bytes]
    started_seconds: float

    def cpu_seconds(self) -> float:
        """Processor time so far; that of a process that ended is in its parent's."""
        return sum(map(cpu_seconds, self._proc("stat")))

    def pss_mib(self) -> float:
        """Memory that would be free without it, shared pages in part, MiB."""
        return sum(map(pss_mib, self._proc("smaps_rollup")))

    def drain(self) -> None:
        """Wait until what an earlier load left behind is worked off."""
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until:
            before = self.cpu_seconds()
            time.sleep(QUIET_SECONDS)
            if self.cpu_seconds() - before <= 1 / TICKS_PER_SECOND:
                return
        raise DataError(f"{self.name} was still busy {DRAIN_SECONDS:.0f} s after its load ended")

    def stop(self) -> None:
        """End it, politely first."""
        below = family(self.process.pid)[1:]
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in below:  # MLflow's server is left behind by the command that started it
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _proc(self, name: str) -> list[str]:
        texts = []
        for pid in family(self.process.pid):
            with suppress(OSError):
                texts.append(Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8"))
        if self.process.poll() is not None:
            raise DataError(f"{self.name} is gone: it ended with {self.process.returncode}")
        return [text for text in texts if text]


@dataclass(frozen=True, slots=True)
class Startable:
    """How to start a server.

    Parameters
    ----------
    command
        Arguments behind the Python interpreter.
    probe
        Path that is answered 200 once it is ready.
    environment
        Variables that it needs beside those of this process.
    """

    name: str
    command: Sequence[str]
    port: int
    probe: str
    environment: Mapping[str, str] = field(default_factory=dict)


def start(startable: Startable, cpus: Set[int], log: Path) -> Server:
    """Start a server on these cores and wait until it is ready.

    Raises
    ------
    DataError
        It ended, or was not ready in time; its log is quoted.
    """
    # Settings of whoever measures are none of the measured service.
    environ = {key: value for key, value in os.environ.items() if not key.startswith(SETTINGS)}
    environ |= {**ONE_THREAD, **startable.environment}
    began = time.monotonic()
    with pinned(cpus), log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *startable.command], cwd=ROOT, env=environ, stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{startable.port}"
    try:
        _await_ready(startable, url, process, log)
    except BaseException:
        Server(startable.name, url, process, 0.0).stop()
        raise
    return Server(startable.name, url, process, time.monotonic() - began)


def _await_ready(
    startable: Startable, url: str, process: subprocess.Popen[bytes], log: Path
) -> None:
    until = time.monotonic() + START_SECONDS
    while not _is_ready(url + startable.probe):
        code = process.poll()
        if code is not None or time.monotonic() > until:
            said = log.read_text(encoding="utf-8", errors="replace")[-800:]
            why = "was not ready in time" if code is None else f"ended with {code}"
            raise DataError(f"{startable.name} {why}: {said}")
        time.sleep(0.02)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
            return True
    except (urllib.error.URLError, OSError):
        return False
