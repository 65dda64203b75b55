"""What every error of this package is.

A message names the thing, its value and the way out; several lines where there are several ways.
Bad arguments are `ValueError`s, what goes wrong while something runs is a `RuntimeError`; both
kinds are `CompanionError`s where the message was written for a user.
"""

from __future__ import annotations


class CompanionError(Exception):
    """The base of every error that this package defines."""


class UndefinedMeasure(CompanionError, ValueError):
    """A measure has no value for these features: class means that coincide, rows of zeros.

    It is an answer about the features, not a fault of the caller: tables show it as absent.
    """
