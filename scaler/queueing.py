"""Queueing theory: how long requests wait for one of several servers.

Servers are slots. *Offered load* is arrival rate times mean service time (Little's law): the
mean number of slots that would be busy if there were always enough of them, in erlang.

Sources: Erlang C with its recurrence through Erlang B, and the exponential tail of the wait in
M/M/n (Gross and Harris, Fundamentals of Queueing Theory, 2.3). Golden values: the tests.
"""

from __future__ import annotations

import math


def erlang_b(servers: int, offered: float) -> float:
    """The share of arrivals that find all `servers` busy and leave; `offered` in erlang."""
    inverse = 1.0
    for n in range(1, servers + 1):
        inverse = 1.0 + inverse * n / offered
        if inverse > 1e30:
            return 0.0
    return 1.0 / inverse


def erlang_c(servers: int, offered: float) -> float:
    """The share of arrivals that must wait; 1 when the load is not below the servers."""
    if offered <= 0:
        return 0.0
    if offered >= servers:
        return 1.0
    blocked = erlang_b(servers, offered)
    return blocked * servers / (servers - offered * (1.0 - blocked))


def wait_exceeds(servers: int, offered: float, wait: float) -> float:
    """The share of arrivals that wait longer than `wait` mean service times, in M/M/n.

    Worked: 2 servers, 1 erlang, 1 service time: C(2, 1) * exp(-(2 - 1) * 1) = 0.333 * 0.368.
    """
    if offered >= servers:
        return 1.0
    return erlang_c(servers, offered) * math.exp(-(servers - offered) * wait)


def servers_for(offered: float, wait: float, share: float) -> int:
    """The fewest servers at which at most `share` of arrivals wait longer than `wait`.

    `wait` is in mean service times. 0 for no load.
    """
    if offered <= 0:
        return 0
    first = math.floor(offered) + 1
    low = first - 1
    step = max(1, math.isqrt(first))
    high = first
    while wait_exceeds(high, offered, wait) > share:
        low, high = high, high + step
    while high - low > 1:
        middle = (low + high) // 2
        if wait_exceeds(middle, offered, wait) > share:
            low = middle
        else:
            high = middle
    return high
