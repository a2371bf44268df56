"""Learn anew how the pace of a visit is told, and write the file that ships with the product.

``python -m scripts.learn_pace`` simulates the shops, learns, prints the report of the test shops,
and writes ``training/pace.json``. The same version gives the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from feature_store.console import Console
from training.evaluation.pace_report import judged
from training.pace_file import DEFAULT_FILE, save
from training.pace_learning import PaceSpec, learn, steps_of
from training.pace_summary import show_pace


def main() -> None:
    """Learn, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_FILE)
    out = parser.parse_args().out
    console, spec = Console(), PaceSpec()
    parts = [
        steps_of(seeds, spec, lambda seed: console.say(f"shop {seed} simulated"))
        for seeds in (spec.fit, spec.calibration, spec.test)
    ]
    file = learn(parts[0], parts[1], spec)
    save(out, file)
    show_pace(judged(file.network(), parts[2], spec.test), console)


if __name__ == "__main__":
    main()
