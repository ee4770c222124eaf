"""How long to wait before trying again."""

import random


def pause_s(failures: int, first_s: float = 0.3, longest_s: float = 15.0) -> float:
    """Give seconds that double with every failure, up to a longest, each taken at random from its upper half.

    Parameters
    ----------
    failures
        So far, from 1.
    """
    whole = min(longest_s, first_s * 2.0 ** min(failures - 1, 16))
    return whole * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts; nothing is kept secret by it
