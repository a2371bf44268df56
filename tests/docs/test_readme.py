"""The README's commands, run in its order in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from training.demo.trial import free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(README)]
MAKE = "make demo\n"
SIZE = "--shoppers 1600 --days 22"


def test_the_first_command_is_a_target() -> None:
    assert BLOCKS[0] == ("sh", MAKE)
    for target in sorted(set(re.findall(r"`make ([a-z-]+)", README))):
        done = subprocess.run(
            ["make", "-n", target], cwd=ROOT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_loop_by_hand_closes(tmp_path: Path) -> None:
    port = free_port()
    script = "set -eu\n" + "".join(_as_shell(*block) for block in BLOCKS[1:])
    # The port of the README may be taken on this machine, and the service must not stay behind. A
    # shop of half the size learns in half the time.
    for written, used in {"8000": f"{port}", "--shoppers 3000 --days 30": SIZE}.items():
        assert written in script
        script = script.replace(written, used)
    script += "kill %1\nwait %1\n"
    env = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    shell = subprocess.Popen(
        ["bash", "-m", "-c", script],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, error = shell.communicate(timeout=400)
    finally:
        _stop_all(shell.pid)
    assert shell.returncode == 0, out[-2000:] + error[-4000:]
    levels = re.findall(r'"fallback_level":"(\w+)"', out)
    assert levels[:2] == ["popular", "session"]
    assert '{"accepted":1,"duplicates":0,"rejected":[]}' in out
    assert "session [('" in out


def _as_shell(language: str, code: str) -> str:
    return code if language == "sh" else f"python - <<'END'\n{code}END\n"


def _stop_all(session: int) -> None:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return
