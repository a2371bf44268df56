"""A placement as an arm of an experiment wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Final

from recommender.placements import Placement, changed_placement

# An arm may not move a placement to other people's wishes, nor split it by stage anew.
_KEPT: Final = {"name", "sensitive_categories", "personalize", "stage"}
ACCEPTED: Final = frozenset(part.name for part in fields(Placement)) - _KEPT


def overridden(placement: Placement, table: Mapping[str, object]) -> Placement:
    """A placement with other values, for shoppers of every stage.

    What an arm says goes before what the placement says for a stage: an arm is one treatment, and
    not another one for everybody it meets.

    Raises
    ------
    ConfigError
        An unknown key or an unacceptable value.
    """
    if not table:
        return placement
    changed = changed_placement(placement.name, placement, table, ACCEPTED)
    stages = {
        stage: replace(
            changed_placement(f"{placement.name}.stage.{stage}", own, table, ACCEPTED),
            name=placement.name,
        )
        for stage, own in placement.stage.items()
    }
    return replace(changed, stage=MappingProxyType(stages))
