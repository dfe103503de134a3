"""Slots of replicas shared by several workers: one semaphore (eventfd(2)) a replica.

A worker takes a slot by reading 1 without blocking and gives it back by writing 1, so the limit is
exact over all workers. Slots taken away while they are in use are owed: the semaphore is watched,
and they are taken as they come free.
"""

from __future__ import annotations

import asyncio
import os


class SharedSlots:
    """The semaphores by replica. Needs a running event loop when slots are taken away."""

    def __init__(self) -> None:
        self._semaphores: dict[str, int] = {}
        self._slots: dict[str, int] = {}
        self._owed: dict[str, int] = {}

    def __contains__(self, replica: str) -> bool:
        return replica in self._semaphores

    def fd(self, replica: str) -> int:
        """The semaphore of a replica, to be given to a worker."""
        return self._semaphores[replica]

    def keep(self, replica: str, slots: int) -> None:
        """Let there be `slots` slots, in use or free. OSError when no descriptor is left."""
        if replica not in self._semaphores:
            self._semaphores[replica] = os.eventfd(
                slots, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC
            )
            self._slots[replica] = slots
            self._owed[replica] = 0
            return
        owed = self._owed[replica] + self._slots[replica] - slots
        self._slots[replica] = slots
        self._owed[replica] = max(0, owed)
        if owed < 0:
            os.eventfd_write(self._semaphores[replica], -owed)
        self._collect(replica)

    def held(self, replica: str) -> int:
        """Slots that are there, in use or free, with those to be taken away as they come free."""
        return self._slots[replica] + self._owed[replica]

    def give_back(self, replica: str, count: int) -> None:
        """Free what a dead worker held."""
        if count > 0 and replica in self._semaphores:
            os.eventfd_write(self._semaphores[replica], count)

    def forget(self, replica: str) -> None:
        """Close the semaphore of a replica that is gone, if it has one."""
        semaphore = self._semaphores.pop(replica, None)
        if semaphore is None:
            return
        if self._owed.pop(replica):
            asyncio.get_running_loop().remove_reader(semaphore)
        del self._slots[replica]
        os.close(semaphore)

    def _collect(self, replica: str) -> None:
        loop, semaphore = asyncio.get_running_loop(), self._semaphores[replica]
        while self._owed[replica]:
            try:
                os.eventfd_read(semaphore)
            except BlockingIOError:
                loop.add_reader(semaphore, self._collect, replica)
                return
            self._owed[replica] -= 1
        loop.remove_reader(semaphore)
