"""How many different sessions came to a replica, from a few hundred bytes: linear counting.

Whang, Vander-Zanden and Taylor, "A Linear-Time Probabilistic Counting Algorithm for Database
Applications" (ACM TODS 15, 1990): each key sets one of m bits by its hash; when z of them are still
zero, `-m * ln(z / m)` keys were seen. A key that comes again sets the same bit, and what several
workers have seen is joined by OR.

With m = 2048 the standard error is 1.7 % at 1,000 sessions and 4 % at 8,000; a full map says
15,615 (`m * ln m`), whatever there was. Bits are never cleared one by one: there are two halves of
m bits, of which workers set one and clear the other in turns (`router.sessions`).
"""

from __future__ import annotations

import math
from typing import Final
from zlib import crc32

BITS: Final = 2048
"""Of one half; a power of two."""
WORD_BITS: Final = 64
HALF_WORDS: Final = BITS // WORD_BITS
SESSION_WORDS: Final = 2 * HALF_WORDS

_GOLDEN: Final = 0x9E3779B1
"""2**32 over the golden ratio (Knuth, TAOCP 3, 6.4): a CRC alone spreads keys that are counted up,
as `s-1`, `s-2`, so evenly that 1,000 of them would be taken for 1,140."""
_SHIFT: Final = 32 - (BITS.bit_length() - 1)


def bit_of(key: bytes) -> int:
    """The bit of a key, 0 to BITS - 1; the same in every process. About 0.1 microseconds."""
    return ((crc32(key) * _GOLDEN) & 0xFFFFFFFF) >> _SHIFT


def estimate(bits: int) -> int:
    """Keys seen, from the map of BITS bits that they have set, as one number."""
    zero = BITS - bits.bit_count()
    return round(BITS * math.log(BITS / max(1, zero)))
