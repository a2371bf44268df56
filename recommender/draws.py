"""Numbers of chance that are the same for a seed for ever, in any release and any language.

SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA):
the state goes up by a constant, and each state is mixed into 64 bits. numpy promises no such thing
(NEP 19: the stream of a `Generator` may change between versions), and a decision record must be
replayable as long as it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
SEED_BITS: Final = 53
"""So that readers that know only doubles keep every seed."""


def word_at(seed: int, number: int) -> int:
    """The 64 bits at a place of a seed's stream, counted from 0."""
    mixed = (seed + (number + 1) * _GOLDEN) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


@dataclass(slots=True)
class Draws:
    """A stream of numbers from one seed, 0 to 2^64 - 1."""

    state: int

    def word(self) -> int:
        """The next 64 bits."""
        found = word_at(self.state, 0)
        self.state = (self.state + _GOLDEN) & _MASK
        return found

    def uniform(self) -> float:
        """The next number in [0, 1), a multiple of 2^-53."""
        return (self.word() >> 11) * 2.0**-53


def seed_of(name: str) -> int:
    """The seed that belongs to a name, such as a decision's id; below 2^53."""
    digest = blake2b(name.encode(), digest_size=8, person=b"explore").digest()
    return int.from_bytes(digest, "big") >> (64 - SEED_BITS)
