"""Who asks, when, by which model it is answered, and what is known."""

from __future__ import annotations

from dataclasses import dataclass

from feature_store.online.state import VisitorState
from serving.bundle_source import ServingModel


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, when, by which model it is answered, and what is known.

    Parameters
    ----------
    moment
        Microseconds since the epoch, UTC.
    failure
        Why less is known than could be; None where nothing failed.
    page_id
        Of the page whose lists are asked for together; None for a single one.
    """

    moment: int
    model: ServingModel
    visitor: VisitorState
    failure: str | None
    page_id: str | None
