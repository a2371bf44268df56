"""Replay the serving image's steps in an empty folder, without a container engine.

Reads the Dockerfile itself: every COPY, RUN python, RUN desirepath, ENV and CMD of the stages
`build` and `serving` is carried out below a temporary folder that stands for the file system of the
image, with one virtual environment per stage. Then the CMD is started as the image would start it,
the HEALTHCHECK is run against it, and it is asked one question about a small model in its data
folder. The machine code that the image ships has to be all that this needs: the start may compile
nothing.

Steps that need an operating system of their own (user accounts, apt) are named and passed over.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from recommender.bundle_folder import publish
from tests.rankers import saved_ranked_bundle

ROOT = Path(__file__).resolve().parent.parent
ATTEMPTS, PAUSE_SECONDS = 150, 0.2


@dataclass(slots=True)
class Stage:
    """One stage of the image: its file system below `root`, its environment, its last commands."""

    name: str
    root: Path
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    @property
    def bin(self) -> Path:
        """Programs of the stage's virtual environment."""
        return self.root / "venv" / "bin"

    def path(self, inside: str) -> Path:
        """Where a path of the image lies on this machine."""
        absolute = inside if inside.startswith("/") else f"{self.workdir}/{inside}"
        return self.root / absolute.lstrip("/")

    def environment(self) -> dict[str, str]:
        """Nothing of the caller's environment but what any container has and pip's own settings."""
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_", "LANG"))}
        own = {name: self.value(each) for name, each in self.env.items()}
        return kept | {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.root)} | own

    def value(self, word: str) -> str:
        """A word of a command or a variable: absolute paths lie below the stage's folder here."""
        return str(self.path(word)) if word.startswith("/") else word

    @property
    def machine_code(self) -> set[Path]:
        """Files of compiled kernels."""
        return set(self.path(self.env["NUMBA_CACHE_DIR"]).rglob("*.nbc"))


def main() -> int:
    """Replay, start, ask, stop."""
    with tempfile.TemporaryDirectory(prefix="desirepath-image-") as folder:
        stages = replay(instructions(ROOT / "Dockerfile"), Path(folder), ("build", "serving"))
        serving = stages["serving"]
        saved_ranked_bundle(Path(folder) / "bundle")
        publish(Path(folder) / "bundle", serving.path("/data") / "bundles")
        shipped = serving.machine_code
        code = ask(serving)
        compiled = serving.machine_code - shipped
        _say(f"kernels in the image: {len(shipped)}; compiled at the start: {len(compiled)}")
        return code if shipped and not compiled else 1


def instructions(path: Path) -> list[tuple[str, str]]:
    """``(keyword, rest)`` of each instruction."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(keyword.upper(), rest.strip()) for keyword, _, rest in pairs]


def replay(steps: list[tuple[str, str]], folder: Path, wanted: tuple[str, ...]) -> dict[str, Stage]:
    """Carry out the steps of the wanted stages."""
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for keyword, rest in steps:
        if keyword == "FROM":
            name = rest.split()[-1]
            stage = _new_stage(name, folder) if name in wanted else None
            if stage:
                stages[name] = stage
        elif stage:
            _say(f"[{stage.name}] {keyword} {rest[:100]}")
            _carry_out(stage, keyword, rest, stages)
    return stages


def _new_stage(name: str, folder: Path) -> Stage:
    stage = Stage(name, folder / name)
    subprocess.run([sys.executable, "-m", "venv", str(stage.root / "venv")], check=True)
    return stage


def _carry_out(stage: Stage, keyword: str, rest: str, stages: dict[str, Stage]) -> None:
    if keyword == "WORKDIR":
        stage.workdir = rest
        stage.path(rest).mkdir(parents=True, exist_ok=True)
    elif keyword == "ENV":
        stage.env |= dict(part.split("=", 1) for part in shlex.split(rest))
    elif keyword == "COPY":
        _copy(stage, shlex.split(rest), stages)
    elif keyword == "RUN":
        _run(stage, rest)
    elif keyword == "CMD":
        stage.command = json.loads(rest)
    elif keyword == "HEALTHCHECK":
        stage.health = json.loads(rest[rest.index("CMD") + 3 :])
    elif keyword == "VOLUME":
        stage.path(rest).mkdir(parents=True, exist_ok=True)


def _copy(stage: Stage, words: list[str], stages: dict[str, Stage]) -> None:
    origin = None
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")]
    *sources, target = words
    for source in sources:
        found = origin.path(source) if origin else ROOT / source
        goal = stage.path(target) / (found.name if target.endswith("/") else "")
        goal.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, goal, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, goal)


def _run(stage: Stage, command: str) -> None:
    words = shlex.split(command)
    if words[0] not in {"python", "desirepath"}:
        _say("    passed over: it needs an operating system of its own")
        return
    words = [stage.value(word) for word in words]
    subprocess.run(
        [str(stage.bin / words[0]), *words[1:]],
        check=True,
        cwd=stage.path(stage.workdir),
        env=stage.environment() | {"PIP_QUIET": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def ask(stage: Stage) -> int:
    """Start the stage's command, run its health check, ask one question. Returns an exit code."""
    port = _free_port()
    env = stage.environment() | {
        "DESIREPATH_PORT": str(port),
        "DESIREPATH_HOST": "127.0.0.1",
        "DESIREPATH_DEV": "1",
    }
    command = [str(stage.bin / stage.command[0]), *stage.command[1:]]
    server = subprocess.Popen(command, env=env, cwd=stage.path(stage.workdir))
    try:
        _wait_until_healthy(stage, env, server)
        answer = _question(f"http://127.0.0.1:{port}/v1/recommendations")
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(timeout=30)
    _say(f"answer: {json.dumps(answer)[:300]}")
    _say(f"stopped with exit code {code}")
    return 0 if answer.get("items") and code == 0 else 1


def _wait_until_healthy(stage: Stage, env: dict[str, str], server: subprocess.Popen[bytes]) -> None:
    check = [str(stage.bin / stage.health[0]), *stage.health[1:]]
    for _ in range(ATTEMPTS):
        if server.poll() is not None:
            raise SystemExit(f"the service ended with exit code {server.returncode}")
        if subprocess.run(check, env=env, check=False, capture_output=True).returncode == 0:
            _say("health check: ready")
            return
        time.sleep(PAUSE_SECONDS)
    raise SystemExit("the health check never said yes")


def _question(url: str) -> dict[str, object]:
    body = json.dumps({"placement": "home", "visitor_id": "a-stranger"}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - loopback
        answer: dict[str, object] = json.load(response)
    return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
