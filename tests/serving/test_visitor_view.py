from __future__ import annotations

from serving.visitor_view import rfc3339


def test_moments_are_rfc_3339_in_utc() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1_700_000_000_123_456) == "2023-11-14T22:13:20.123456Z"
