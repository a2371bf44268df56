"""What the OpenFeature Remote Evaluation Protocol asks and answers (version 0.3.0).

https://github.com/open-feature/protocol. An experiment is a flag whose value is the key of an arm.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

ErrorCode = Literal[
    "PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "FLAG_NOT_FOUND", "GENERAL"
]


class EvaluationContext(msgspec.Struct, frozen=True, rename="camel"):
    """Who is asked about. `targetingKey` is the id of the experiment's unit.

    `visitor_id`, `user_id` and `session_id` go before it for experiments of that unit; an
    experiment's audience may ask for all other fields.
    """

    targeting_key: str
    visitor_id: str | None = msgspec.field(default=None, name="visitor_id")
    user_id: str | None = msgspec.field(default=None, name="user_id")
    session_id: str | None = msgspec.field(default=None, name="session_id")
    attributes: dict[str, Any] = {}


class EvaluationRequest(msgspec.Struct, frozen=True):
    """Ask for one flag, or for all of them."""

    context: EvaluationContext


class FlagMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """What is known of an assignment beside the arm."""

    phase: int
    in_experiment: bool
    assignment_reason: str
    hash_version: int
    bucket: float | UnsetType = UNSET


class FlagEvaluation(msgspec.Struct, frozen=True):
    """The arm of one experiment: `value` and `variant` are its key."""

    key: str
    value: str
    reason: Literal["STATIC", "SPLIT", "DISABLED", "UNKNOWN"]
    variant: str
    metadata: FlagMetadata


class BulkEvaluation(msgspec.Struct, frozen=True):
    """The arms of all experiments that run or pause."""

    flags: list[FlagEvaluation]
    metadata: dict[str, str | int] = {}


class EvaluationFailure(msgspec.Struct, frozen=True, rename="camel"):
    """Why nothing was evaluated."""

    key: str
    error_code: ErrorCode
    error_details: str


class BulkEvaluationFailure(msgspec.Struct, frozen=True, rename="camel"):
    """Why no flag at all was evaluated."""

    error_code: ErrorCode
    error_details: str


CONTEXT_FIELDS = ("visitor_id", "user_id", "session_id")


def context_of(raw: Any) -> tuple[EvaluationContext | None, ErrorCode, str]:
    """The context of a body that is strict JSON; else None, and why not."""
    context = raw.get("context") if isinstance(raw, dict) else None
    if not isinstance(context, dict):
        return None, "INVALID_CONTEXT", "context: accepted: an object with targetingKey"
    if "targetingKey" not in context:
        return None, "TARGETING_KEY_MISSING", "context: accepted: an object with targetingKey"
    known = {name: value for name in CONTEXT_FIELDS if (value := context.get(name)) is not None}
    for name, value in (known | {"targetingKey": context["targetingKey"]}).items():
        if not isinstance(value, str):
            return None, "INVALID_CONTEXT", f"context.{name}: accepted: a text"
    return EvaluationContext(context["targetingKey"], **known, attributes=context), "GENERAL", ""
