"""The language-neutral vectors of the GrowthBook SDKs, of two versions of their specification."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recommender.bucketing import bucket_of, chosen_range, equal_weights, in_namespace, ranges_of
from recommender.many_buckets import buckets_of
from recommender.targeting import meets
from tests.conformance.conftest import Tally
from tests.conformance.growthbook import FILES, run, stick

pytestmark = pytest.mark.shared
Begin = Callable[[str, str], Tally]
PLACES = 8  # the vectors write ranges and weights as rounded decimals
LEFT_OUT = {
    "feature": "no feature flags beside experiments",
    "getQueryStringOverride": "no address decides anything here",
    "decrypt": "no encrypted specifications",
    "urlRedirect": "no redirects",
    "contextualBandit": "no bandit assignment",
}


@pytest.fixture(params=FILES)
def suite(request: pytest.FixtureRequest, shared_path: Path) -> tuple[str, dict[str, Any]]:
    path = shared_path / "conformance" / "growthbook" / FILES[request.param]
    return request.param, json.loads(path.read_text("utf-8"))


def rounded(values: object) -> object:
    if isinstance(values, list | tuple):
        return [rounded(each) for each in values]
    return round(values, PLACES) if isinstance(values, float) else values


def test_primitives(suite: tuple[str, dict[str, Any]], tally: Begin) -> None:
    name, vectors = suite
    with tally(name, "hash") as counted:
        for seed, value, version, expected in vectors["hash"]:
            counted.check(f"{seed}/{value}/{version}", bucket_of(seed, value, version), expected)
    with tally(name, "getBucketRange") as counted:
        for case, arguments, expected in vectors["getBucketRange"]:
            counted.check(case, rounded(ranges_of(*arguments)), rounded(expected))
    with tally(name, "chooseVariation") as counted:
        for case, bucket, ranges, expected in vectors["chooseVariation"]:
            counted.check(case, chosen_range(bucket, ranges), expected)
    with tally(name, "inNamespace") as counted:
        for case, value, namespace, expected in vectors["inNamespace"]:
            counted.check(case, in_namespace(value, *namespace), expected)
    with tally(name, "getEqualWeights") as counted:
        for n, expected in vectors["getEqualWeights"]:
            counted.check(f"{n}", rounded(equal_weights(n)), rounded(expected))


def test_experiments(suite: tuple[str, dict[str, Any]], tally: Begin) -> None:
    name, vectors = suite
    with tally(name, "run") as counted:
        for case, context, experiment, *expected in vectors["run"]:
            counted.check(case, run(context, experiment), expected)
        assert (counted.total, counted.left_out) == (73, 0)


def test_conditions(suite: tuple[str, dict[str, Any]], tally: Begin) -> None:
    name, vectors = suite
    with tally(name, "evalCondition") as counted:
        for case, condition, attributes, expected, *groups in vectors["evalCondition"]:
            counted.check(case, meets(attributes, condition, *groups), expected)


def test_sticky_buckets(suite: tuple[str, dict[str, Any]], tally: Begin) -> None:
    name, vectors = suite
    with tally(name, "stickyBucket") as counted:
        for case, context, documents, feature, *expected in vectors["stickyBucket"]:
            result, after = stick(context, documents, feature)
            kept = {key: each["assignments"] for key, each in expected[1].items()}
            # What the vectors expect leaves out the notes of somebody else, which stay as they are.
            own = {key: notes for key, notes in after.items() if key in kept}
            counted.check(case, [result, own], [expected[0], kept])


def test_the_rest_is_named(suite: tuple[str, dict[str, Any]], tally: Begin) -> None:
    name, vectors = suite
    built = {
        "hash",
        "getBucketRange",
        "chooseVariation",
        "inNamespace",
        "getEqualWeights",
        "evalCondition",
        "run",
        "stickyBucket",
    }
    rest = vectors.keys() - built - {"specVersion"}
    assert rest <= LEFT_OUT.keys()
    for group in sorted(rest):
        with tally(name, group) as counted:
            counted.leave_out(len(vectors[group]), LEFT_OUT[group])


def test_ids_beyond_ascii(shared_path: Path, tally: Begin) -> None:
    path = shared_path / "conformance" / "growthbook" / "extra-non-ascii-hash.json"
    vectors = json.loads(path.read_text("utf-8"))["hash"]
    assert len(vectors) == 60
    with tally("GrowthBook SDK 4.0.0", "hash beyond ASCII") as counted:
        for seed, value, version, expected in vectors:
            counted.check(f"{seed}/{value}", bucket_of(seed, value, version), expected)
    with tally("GrowthBook SDK 4.0.0", "many hashes beyond ASCII") as counted:
        for seed, value, version, expected in vectors:
            if version == 2:
                counted.check(f"{seed}/{value}", buckets_of(seed, ["", value])[1], expected)
