from __future__ import annotations

from pathlib import Path

import pytest

from training.spec import TrainingSpec, load_spec, parse_spec
from training.spec_file import SAMPLE, spec_text


@pytest.mark.parametrize(
    "spec",
    [
        TrainingSpec(),
        parse_spec({"als": {"factors": 32, "alpha": 1e-5}, "blend": {"learn": False}}),
        parse_spec({"event_weights": {"share": 2.5}, "blend": {"weights": {"returns": 2}}}),
        parse_spec({"covisitation": {"pairs": ["view_cart"], "view_cart": {"scope": "shopper"}}}),
    ],
)
def test_what_is_written_is_read_as_the_same_specification(
    spec: TrainingSpec, tmp_path: Path
) -> None:
    path = tmp_path / "training.toml"
    path.write_text(spec_text(spec, "Two lines\nof a head."))
    assert load_spec(path).resolved == spec.resolved
    assert path.read_text().startswith("# Two lines\n# of a head.\n")


def test_the_comments_of_the_sample_stay() -> None:
    text = spec_text(parse_spec({"als": {"factors": 32}}), "head")
    _, _, body = SAMPLE.read_text().partition("\n\n")
    comments = [line for line in body.splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# head", *comments]
    assert "factors = 32\n" in text
