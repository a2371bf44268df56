"""Personalize events and Recombee interactions."""

from __future__ import annotations

from feature_store.dialects import normalise, split_batch
from feature_store.events import EventItem

PUT_EVENTS = {
    "trackingId": "t",
    "sessionId": "s1",
    "userId": "u1",
    "eventList": [
        {
            "eventId": "e1",
            "eventType": "Click",
            "itemId": "x",
            "sentAt": 1_795_255_200,
            "eventValue": 4.5,
            "recommendationId": "r1",
            "impression": ["x", "y"],
        },
        {"eventType": "View", "itemId": "y", "sentAt": 1_795_255_201},
    ],
}


def test_a_personalize_batch_is_split_and_its_impressions_are_events() -> None:
    shown, click, view = (normalise(raw, 0) for raw in split_batch(PUT_EVENTS))
    assert (shown.event_type, shown.event_id) == ("view_item_list", "e1/impression")
    assert [item.item_id for item in shown.items] == ["x", "y"]
    assert shown.recommendation_id == "r1"
    assert (click.event_id, click.event_type, click.value) == ("e1", "select_item", 4.5)
    assert (click.visitor_id, click.user_id, click.session_id) == ("u1", "u1", "s1")
    assert (view.event_type, view.items) == ("view_item", (EventItem("y"),))


def test_a_personalize_event_before_login_has_the_session_as_visitor() -> None:
    event = normalise(
        {"eventType": "View", "itemId": "y", "sentAt": 1_795_255_201, "sessionId": "s"}, 0
    )
    assert (event.visitor_id, event.user_id) == ("s", None)


def test_a_recombee_request() -> None:
    event = normalise(
        {
            "method": "POST",
            "path": "/purchases/",
            "params": {
                "userId": "u",
                "itemId": "x",
                "timestamp": "2026-11-21T10:00:00.123Z",
                "amount": 2,
                "price": 9.5,
                "profit": 1,
                "recommId": "r1",
                "cascadeCreate": True,
            },
        },
        0,
    )
    assert (event.event_type, event.original_name) == ("purchase", "Purchase")
    assert event.items == (EventItem("x", quantity=2.0, price=9.5),)
    assert (event.recommendation_id, event.params) == ("r1", {"profit": 1})
