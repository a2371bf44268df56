"""The load: `wrk` with a script that cycles questions, and what its last line says.

`wrk` is closed loop: each connection sends its next request when it has the answer to the last one.
At many connections its latencies are therefore those of a queue.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.latency_parts.processes import pinned
from recommender.errors import DataError, InvalidInputError

MARK: Final = "FIGURES "
TIMEOUT_SECONDS: Final = 20
FIELDS: Final = ("requests", "micros", "p50", "p99", "status", "broken")


@dataclass(frozen=True, slots=True)
class Answered:
    """What one run of `wrk` saw.

    Parameters
    ----------
    seconds
        How long it ran.
    p50_ms, p99_ms
        Milliseconds from a request to its answer.
    errors
        Answers with a status of 400 or more, connections that broke, and answers that took more
        than `TIMEOUT_SECONDS`.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


def find_wrk() -> str:
    """Path of `wrk`. Raises `InvalidInputError` where there is none."""
    if found := shutil.which("wrk"):
        return found
    raise InvalidInputError(
        "wrk is not on PATH, and this benchmark loads the service with it; install it, "
        "for example by `apt-get install wrk`"
    )


def lua_text(text: str) -> str:
    """A Lua string of this text in UTF-8: letters and digits as they are, other bytes coded."""
    coded = (
        chr(byte) if chr(byte).isalnum() and byte < 128 else f"\\{byte:03d}"
        for byte in text.encode()
    )
    return f'"{"".join(coded)}"'


def lua_script(
    method: str, path: str, headers: Mapping[str, str], bodies: Sequence[str] = ()
) -> str:
    """A script for `wrk`: one request per body, in turn, made before the clock runs.

    Without bodies the one request has none. What is counted is printed as one line of JSON behind
    `MARK`, because wrk's own text rounds.
    """
    names = "".join(
        f"  wrk.headers[{lua_text(name)}] = {lua_text(value)}\n" for name, value in headers.items()
    )
    texts = ",\n".join(f"  {lua_text(body)}" for body in bodies) or "  false"
    return f"""local bodies = {{
{texts}
}}
local requests, last = {{}}, 0
function init(args)
{names}  for at, body in ipairs(bodies) do
    requests[at] = wrk.format({lua_text(method)}, {lua_text(path)}, nil, body or nil)
  end
end
function request()
  last = last % #requests + 1
  return requests[last]
end
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\\n{MARK}{{"requests":%d,"micros":%d,"p50":%f,"p99":%f,"status":%d,"broken":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


def parsed(output: str) -> Answered:
    """What `wrk` printed. Raises `DataError` where its last word is missing or nothing came."""
    lines = [line for line in output.splitlines() if line.startswith(MARK)]
    if not lines:
        raise DataError(f"wrk printed no line that starts with {MARK!r}, but: {output[-500:]!r}")
    figures = json.loads(lines[-1].removeprefix(MARK))
    if missing := [name for name in FIELDS if name not in figures]:
        raise DataError(f"wrk's figures lack {missing}: {lines[-1]!r}")
    if not figures["requests"]:
        raise DataError(f"wrk got no answer at all: {lines[-1]!r}")
    return Answered(
        requests=int(figures["requests"]),
        seconds=figures["micros"] / 1e6,
        p50_ms=figures["p50"] / 1e3,
        p99_ms=figures["p99"] / 1e3,
        errors=int(figures["status"] + figures["broken"]),
    )


@dataclass(frozen=True, slots=True)
class Loader:
    """`wrk`, and the cores it may use."""

    wrk: str
    cpus: frozenset[int]

    def run(self, url: str, script: Path, connections: int, seconds: int) -> Answered:
        """Keep this many connections busy for so long. Raises `DataError`."""
        threads = min(connections, len(self.cpus))
        command = [
            *(self.wrk, f"-t{threads}", f"-c{connections}", f"-d{seconds}s"),
            *("--timeout", f"{TIMEOUT_SECONDS}s", "-s", f"{script}", url),
        ]
        with pinned(self.cpus):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DataError(f"wrk ended with exit code {done.returncode}: {done.stderr[-500:]!r}")
        return parsed(done.stdout)
