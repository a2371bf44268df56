"""Other ways to serve the same factors: MLflow's own server, and the service of a tutorial.

Their question is a simpler one than ours: who asks, and no visit, no fatigue, no record.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Final

from benchmarks.latency_parts.processes import ROOT, Startable
from recommender.errors import DataError

MLFLOW, TUTORIAL = "mlflow", "tutorial"
PEERS: Final = (MLFLOW, TUTORIAL)
MODEL: Final = Path(__file__).with_name("mlflow_model.py")
SAVE: Final = """
import sys, mlflow.pyfunc
mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], artifacts={"factors": sys.argv[3]},
                         pip_requirements=["mlflow", "implicit"])
"""
PATHS: Final = {MLFLOW: "/invocations", TUTORIAL: "/recommend"}


def startable(name: str, folder: Path, factors: Path, port: int) -> Startable:
    """How to start a peer; what it needs is written into the folder. Raises `DataError`."""
    if name == TUTORIAL:
        words = ("-m", "benchmarks.latency_parts.tutorial")
        return Startable(
            name, (*words, "--port", f"{port}", "--folder", f"{factors}"), port, "/docs"
        )
    folder.mkdir(parents=True)
    saved = folder / "model"
    done = subprocess.run(
        [sys.executable, "-c", SAVE, f"{saved}", f"{MODEL}", f"{factors}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DataError(f"mlflow could not save the model: {done.stderr[-500:]}")
    serve = ("-m", "mlflow", "models", "serve", "--model-uri", f"{saved}", "--env-manager", "local")
    more = ("--host", "127.0.0.1", "--port", f"{port}", "--workers", "1")
    # Its server is looked for on the PATH.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return Startable(name, (*serve, *more), port, "/ping", {"PATH": path})


def question(name: str, number: int) -> str:
    """The body that asks a peer for a shopper."""
    user = {"user_id": f"u{number}"}
    return json.dumps({"dataframe_records": [user]} if name == MLFLOW else user)


def check_answer(name: str, url: str, shown: int) -> None:
    """Raise `DataError` unless a peer answers with so many items."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url + PATHS[name], question(name, 0).encode(), headers)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
        answer = json.load(response)
    items = answer["predictions"][0]["items"] if name == MLFLOW else answer["items"]
    if len(items) != shown:
        raise DataError(f"{name} answers {len(items)} items, not {shown}")
