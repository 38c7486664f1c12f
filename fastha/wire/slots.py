"""Weights as numbered slots: what a packet filter needs that can count connections, or hash an address, modulo a number
and look the result up in a table.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import gcd

TURNS_LIMIT = 1024
"""Slots of a table of turns, when it is not one turn for each of more servers than that."""
PRIMES = (251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071)

_FINE = 1024
"""Parts of a weight, so that raising a small one by some does not change the others' shares."""


def turns(weights: Sequence[int]) -> tuple[list[int], bool]:
    """The order in which servers take connections: indices of `weights`, each as often as its weight says, spread
    evenly. Weights are positive.

    Weights are divided by their greatest common divisor; when their sum is still above the limit, they are rounded
    to shares of it, at least one slot each. The second value says whether the shares are exact.
    """
    if not weights:
        return [], True
    divisor = gcd(*weights)
    shares = [weight // divisor for weight in weights]
    limit = max(TURNS_LIMIT, 4 * len(weights))
    total = sum(shares)
    exact = total <= limit
    if not exact:
        shares = [max(1, round(share * limit / total)) for share in shares]
        divisor = gcd(*shares)
        shares = [share // divisor for share in shares]
    # The k-th of n turns stands in the middle of the k-th n-th of the round.
    order = sorted(((2 * turn + 1) / (2 * share), index) for index, share in enumerate(shares) for turn in range(share))
    return [index for _, index in order], exact


def places(names: Sequence[str], weights: Sequence[int]) -> list[int]:
    """A table for hashed clients: indices of `names`, in shares near their weights, such that the loss of a server
    moves few clients but its own. It depends on nothing but the names and weights, so that all directors agree.
    Weights are positive; the smallest still has a place.

    Each server has its own permutation of the places and they choose in turns, those with a greater weight more often
    (Maglev, Eisenbud et al., NSDI 2016, section 3.4). The size is a prime, so that every step is a permutation.
    """
    if not names:
        return []
    size = next((prime for prime in PRIMES if prime >= 4 * len(names) and prime >= 1021), PRIMES[-1])
    starts, steps = [], []
    for name in names:
        digest = blake2b(name.encode(), digest_size=16).digest()
        starts.append(int.from_bytes(digest[:8], "big") % size)
        steps.append(int.from_bytes(digest[8:], "big") % (size - 1) + 1)
    # A weight below this might not get its first place before the table is full.
    fine = [weight * _FINE for weight in weights]
    least = 2 * sum(fine) // size + 1
    fine = [max(weight, least) for weight in fine]
    highest = max(fine)
    credit = [0] * len(names)
    table = [-1] * size
    free = size
    while True:
        for index, weight in enumerate(fine):
            credit[index] += weight
            if credit[index] < highest:
                continue
            credit[index] -= highest
            place = starts[index]
            while table[place] >= 0:
                place = (place + steps[index]) % size
            table[place] = index
            starts[index] = (place + steps[index]) % size
            free -= 1
            if not free:
                return table
