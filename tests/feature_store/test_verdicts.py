"""Times that claim the future, from the door to the shopper's state."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from feature_store.events import EventItem
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from tests.feature_store.log_cases import NOW, SECOND, event, submit

MINUTE = 60 * SECOND


def test_a_batch_from_a_fast_clock_keeps_its_order(tmp_path: Path) -> None:
    """Clamped to one instant, taking out of the cart could come before putting in."""
    visitors = Visitors(MemoryStore(lambda: NOW))
    intake = Intake(StoreLayout(tmp_path), visitors, lambda: NOW)
    in_cart = {"items": (EventItem("jug", quantity=1.0),)}
    events = [
        event("a", NOW + MINUTE, event_type="add_to_cart", **in_cart),
        event("b", NOW + MINUTE + SECOND, event_type="remove_from_cart", **in_cart),
        event("c", NOW - SECOND, event_type="view_item", items=(EventItem("cup"),)),
        event("d", NOW + MINUTE + 2 * SECOND, event_type="add_to_cart", items=(EventItem("cup"),)),
    ]
    assert submit(intake, events) == ["accepted"] * 4
    intake.close()
    known = visitors.get(events[0].visitor_id, None, datetime.fromtimestamp(NOW / 1e6, UTC))
    assert known.cart_items == {"cup": 1.0}
    assert [each.ts - NOW for each in known.recent] == [-SECOND, -3, -2, 0]
