"""One encoder or its checkpoints, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import nn

from ssl_companion._encoding import Encoder
from ssl_companion._own_sets import Table

Encoders = Encoder | Mapping[int, Encoder] | Iterable[tuple[int, Encoder]] | None


def by_epoch(encoder: Encoders, x: Table) -> Iterator[tuple[Any, Encoder | None]]:
    """Epoch and encoder, one after the other; None for features that are there already.

    Raises:
        ValueError: something else among the checkpoints than such pairs.
    """
    if encoder is None:
        yield from ((epoch, None) for epoch in (x if isinstance(x, dict) else (0,)))
    elif isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        yield from encoder.items()
    elif callable(encoder):
        yield 0, encoder
    else:
        for pair in encoder:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise ValueError(
                    f"encoder: {type(pair).__name__} among the checkpoints; expected pairs of "
                    "epoch and encoder"
                )
            yield pair


def new_epoch(epoch: object, before: Mapping[int, object]) -> int:
    """The epoch of a checkpoint.

    Raises:
        ValueError: it is no number, or was there before.
    """
    if not isinstance(epoch, (int, np.integer)) or epoch < 0 or epoch in before:
        raise ValueError(
            f"encoder: epoch {epoch!r} after {list(before) or 'none'}; expected whole numbers from "
            "0, each once"
        )
    return int(epoch)


def same_layers(before: tuple[str, ...], now: tuple[str, ...], epoch: int) -> tuple[str, ...]:
    """The layers of a checkpoint.

    Raises:
        ValueError: they are others than before.
    """
    if before and before != now:
        raise ValueError(
            f"encoder: layers {', '.join(now)} at epoch {epoch}, {', '.join(before)} before; "
            "expected the same at every epoch"
        )
    return now


def name_of(encoder: Encoders) -> str:
    """What the encoder is called in titles."""
    if encoder is None:
        return "features"
    if isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        encoder = next(iter(encoder.values()), None)
    if isinstance(encoder, nn.Module):
        return type(encoder).__name__
    return getattr(encoder, "__name__", "encoder") if callable(encoder) else "checkpoints"
