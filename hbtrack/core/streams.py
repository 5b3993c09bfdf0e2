"""What keys the draws of a search beside its seed: a rule that it keeps from its first start on."""

import hashlib
import struct
from enum import StrEnum


class Streams(StrEnum):
    """By what the generators of slots differ from those of other searches."""

    SEED = "seed"  # searches before revision 0004: those of one seed draw the same ids
    SEED_AND_IDENTITY = "seed+identity"


NEW = Streams.SEED_AND_IDENTITY
"""The rule of searches that begin now."""


def stream_of(rule: str, run_identity: str) -> tuple[int, ...]:
    """The numbers that every key of the search's generators ends with."""
    if rule == Streams.SEED:
        return ()
    return struct.unpack(">8I", hashlib.sha256(run_identity.encode()).digest())
