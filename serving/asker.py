"""Who asks, when, by which model it is answered, and what is known."""

from __future__ import annotations

from datetime import datetime

import msgspec

from feature_store.online.state import VisitorState
from serving.bundle_source import ServingModel


class Asker(msgspec.Struct, frozen=True):
    """Who asks, when, by which model it is answered, and what is known.

    A struct, as is all that each answer makes anew: it is made five times as fast as a frozen
    dataclass.

    Parameters
    ----------
    moment
        Microseconds since the epoch, UTC.
    at
        The same as a time.
    failure
        Why less is known than could be; None where nothing failed.
    page_id
        Of the page whose lists are asked for together; None for a single one.
    """

    moment: int
    at: datetime
    model: ServingModel
    visitor: VisitorState
    failure: str | None
    page_id: str | None
