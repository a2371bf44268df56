"""What is asked and answered about the shop's rules."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from serving.schemas import Asked, RecommendationRequest, RuleMove


class RulesResponse(msgspec.Struct, frozen=True):
    """The shop's rules in use; `refusal` says why a newer file is not."""

    version: str
    text: str
    refusal: str | None


class RulesTrialParams(Asked, frozen=True):
    """Rules are only ever tried here, and the caller is to say so."""

    dry_run: Literal["true", "false"]


class RulesTrialRequest(Asked, frozen=True):
    """Rules as TOML text or as the same in JSON, and a question to ask under them."""

    rules: Annotated[str, Meta(min_length=1, max_length=262_144)] | dict[str, Any]
    request: RecommendationRequest


class TriedItem(msgspec.Struct, frozen=True):
    """One item of a list on trial."""

    item_id: str
    rank: int
    promotion: str | None


class RulesTrialResponse(msgspec.Struct, frozen=True):
    """A list under the rules in use (`before`) and under those on trial (`after`).

    `findings` says what is doubtful about them, such as items that the model does not know.
    """

    version: str
    findings: list[str]
    before: list[TriedItem]
    after: list[TriedItem]
    moves: list[RuleMove]
