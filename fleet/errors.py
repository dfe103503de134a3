"""Errors shared by every floor of the house."""

from __future__ import annotations


class HeadraceError(Exception):
    """Base of all errors that are shown to the operator as one sentence."""


class StoreUnavailableError(HeadraceError):
    """The store cannot be reached; traffic goes on, bookkeeping is held in memory."""


class UnknownNameError(HeadraceError):
    """A pool, version or replica that does not exist was named (HTTP 404 in the admin API)."""


class InvalidRequestError(HeadraceError):
    """An operator's request that cannot be carried out as given (HTTP 400 in the admin API)."""
