"""Email addresses and phone numbers stay outside."""

from __future__ import annotations

import time

import pytest

from feature_store.personal_data import (
    is_personal_name,
    looks_like_address,
    refuse_personal_names,
)
from recommender.errors import InvalidEventError


@pytest.mark.parametrize(
    "name",
    [
        "email",
        "Email",
        "e-mail",
        "e_mail",
        "userEmail",
        "user_email_address",
        "EMAIL_ADDRESS",
        "emailAddress",
        "sha256_email_address",
        "customer_email",
        "hashedEmail",
        "phone",
        "phoneNumber",
        "phone_number",
        "mobilePhone",
        "mobile_number",
        "telephone",
        "tel",
        "billing_phone",
        "billing.phone",
        "sha256_phone_number",
        "msisdn",
    ],
)
def test_names_of_personal_fields(name: str) -> None:
    assert is_personal_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "headphone",
        "phone_model",
        "phone_case_color",
        "email_campaign",
        "device",
        "mobile",
        "number",
        "address",
        "hotel",
        "",
        "order_number",
        "item_id",
        "telescope",
    ],
)
def test_names_of_other_fields(name: str) -> None:
    assert not is_personal_name(name)


@pytest.mark.parametrize("text", ["a@b.de", "x a.b+c@shop.example.com y", "u=a%40b.de&x", "A@B.DE"])
def test_addresses_are_seen(text: str) -> None:
    assert looks_like_address(text)


@pytest.mark.parametrize("text", ["a@b", "@b.de", "a @ b.de", "user@@", "50% @ 3", "", "@"])
def test_other_texts_are_not_addresses(text: str) -> None:
    assert not looks_like_address(text)


@pytest.mark.parametrize("text", ["a" * 2048, "@" * 2048, "a@" * 1024, "%40" * 683, "a@a" * 683])
def test_the_search_is_linear(text: str) -> None:
    start = time.perf_counter()
    for _ in range(20):
        looks_like_address(text)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    "raw",
    [
        {"email": "x"},
        {"a": [{"b": {"userEmail": "x"}}]},
        {"user_properties": [{"key": "email", "value": {"string_value": "x"}}]},
        {"phone": 4_917_000},
        {"emails": ["x"]},
    ],
)
def test_personal_fields_are_found_at_any_depth(raw: object) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        refuse_personal_names(raw)
    assert refusal.value.code == "personal_data"


@pytest.mark.parametrize("empty", [None, "", False, True, [], {}])
def test_empty_fields_and_flags_pass(empty: object) -> None:
    refuse_personal_names({"email": empty})


def test_deep_values_are_walked_without_recursion() -> None:
    raw: object = {"phone": "1"}
    for _ in range(100_000):
        raw = [raw]
    with pytest.raises(InvalidEventError):
        refuse_personal_names(raw)
