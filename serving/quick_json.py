"""Strict JSON as nearly everybody sends it, read by a fast decoder that cannot be wrong about it.

That decoder reads the same grammar as `serving.strict_json`, but lets the last of two equal keys
win, and knows neither a depth nor 64 bits. Where a text may have anything of that, or an escape,
or is refused for whatever reason, the strict reader reads it and has the last word.
"""

from __future__ import annotations

import msgspec

from serving.strict_json import MAX_DEPTH, parse, text_of

_DECODE = msgspec.json.Decoder().decode
_ENCODE = msgspec.json.Encoder().encode
_PACK = msgspec.msgpack.Encoder().encode


def read(body: bytes) -> object:
    """Read one whole document, as ``parse(text_of(body))`` does. Raises `StrictJsonError`."""
    if b"\\" not in body and body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        try:
            value = _DECODE(body)
            _PACK(value)  # refuses integers beyond 64 bit
        except (ValueError, OverflowError):  # the former also for what is not UTF-8
            return parse(text_of(body))
        # Without escapes the colons of a text are those behind its keys and those inside its
        # strings. A key that was there twice would be missing now, with its colon.
        if _ENCODE(value).count(b":") == body.count(b":"):
            return value
    return parse(text_of(body))
