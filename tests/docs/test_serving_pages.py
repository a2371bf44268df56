"""The pages on the service: made from the code where they can be, and run where they cannot."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from scripts.serving_docs import HTTP_PAGE, OPERATIONS_PAGE, PAGES, rendered
from serving.telemetry import Metrics
from tests.conftest import ROOT
from tests.serving.service import make_keys, publish_shop, running

SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
ROW = re.compile(r"^\| (\d{3}) \| ([^|]+) \|", re.MULTILINE)
RAISED = re.compile(
    r"(?:Problem\(\s*(?P<status>\d{3}),|StrictJsonError\()\s*\"(?P<code>\w+)\"", re.DOTALL
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_parts_agree_with_the_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<!-- generated:" in text
    assert text == rendered(text), "run `make docs`"


def test_every_refusal_is_documented_and_no_other() -> None:
    source = "\n".join(path.read_text() for path in sorted((ROOT / "serving").rglob("*.py")))
    raised = {match["code"] for match in RAISED.finditer(source)} - {"refused", "not_found"}
    documented = {
        code
        for _, codes in ROW.findall(HTTP_PAGE.read_text(encoding="utf-8"))
        for code in re.findall(r"`(\w+)`", codes)
    }
    demo = {
        match["code"]
        for path in sorted((ROOT / "serving/demo").rglob("*.py"))
        for match in RAISED.finditer(path.read_text())
    }
    assert raised - demo == documented


def test_every_metric_of_the_page_exists() -> None:
    text = OPERATIONS_PAGE.read_text(encoding="utf-8")
    known = {
        sample.name.removesuffix("_created")
        for family in Metrics().registry.collect()
        for sample in [*family.samples, family]
    }
    known |= {name + "_total" for name in known}
    named = set(re.findall(r"\bdesirepath_\w+", text))
    assert named
    assert named <= known


def test_the_examples_of_the_page_work(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    publish_shop(root)
    key = make_keys(root)["admin"]
    script = "".join(SHELL.findall(HTTP_PAGE.read_text(encoding="utf-8")))
    script = script.replace("curl -sS", "curl -sS --fail-with-body -w '\\n'")
    with running(root) as process:
        done = subprocess.run(
            ["sh", "-e"],
            input=script,
            env={"PATH": "/usr/bin:/bin", "URL": process.url, "KEY": key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line]
    home, page, wish, cached, similar = answers[:5]
    events, beacon, visitor, receipt, rules, trial, document = answers[5:]
    assert len(home["items"]) == len(cached["items"]) == 3
    assert home["items"][0]["properties"]["title"]
    assert [len(each["items"]) for each in page["answers"]] == [4, 12]
    assert similar["fallback_level"] == "similar"
    assert (events["accepted"], [each["index"] for each in events["rejected"]]) == (1, [1])
    assert beacon["accepted"] == 1
    assert [each["item_id"] for each in visitor["interactions"]] == ["item-06", "item-04"]
    assert visitor["preferences"] == wish == {"personalize": "light", "since": wish["since"]}
    assert receipt["visitor_id"] == "v-17"
    assert rules["version"] == "default"
    assert (trial["version"], len(trial["before"]), len(trial["after"])) == ("next", 3, 3)
    assert "/v1/events" in document["paths"]


def test_the_recipe_for_a_key_makes_one() -> None:
    page = OPERATIONS_PAGE.read_text(encoding="utf-8")
    (recipe,) = (block for block in SHELL.findall(page) if "NEW_KEY=" in block)
    script = recipe + 'echo "$NEW_KEY"\n'
    done = subprocess.run(
        ["sh", "-e"], input=script, capture_output=True, text=True, timeout=20, check=True
    )
    digest, key = done.stdout.split()
    assert re.fullmatch(r"dp_server_[A-Za-z0-9_-]{43}", key)
    assert digest == hashlib.sha256(key.encode()).hexdigest()
