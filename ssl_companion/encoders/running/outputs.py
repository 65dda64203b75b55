"""What an encoder returns as vectors: maps and tokens pooled, dictionaries and tuples taken apart.

| An encoder, or one of its layers, returns | What is measured |
|---|---|
| vectors [N, D] | they are, whatever `pool` says |
| maps [N, D, h, w] | their mean over places: `pool` "gap", "mean" or None |
| tokens [N, T, D] | with `pool` "cls" the first token, with "mean" the mean over all T of them |
| a dictionary | each of its values, as a layer of the key's name |
| a tuple, list or named tuple of tensors | each, as "output.0" and so on, or by the tuple's names |
| a `ModelOutput` of Hugging Face | its `pooler_output`; with `pool`, or where there is none, its \
`last_hidden_state` |

Whether the class token or the mean over tokens is better depends on how the network was trained:
DINOv2 (Oquab et al. 2023, arXiv:2304.07193) trains both, MAE (He et al. 2021, arXiv:2111.06377) and
I-JEPA (Assran et al. 2023, arXiv:2301.08243) are evaluated by the mean. So it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ssl_companion.errors import CompanionError
from ssl_companion.measures import _checks

Pool = Literal["cls", "mean", "gap"]
OUTPUT = "output"
_POOLS = ("cls", "mean", "gap")
_ELSE = "`outputs` picks what to measure, as in `outputs=lambda out: out.last_hidden_state[:, 0]`"


class OutputError(CompanionError, ValueError):
    """What an encoder returned cannot be taken as vectors; the message says what would do.

    Example:
        >>> try:
        ...     vectors_by_layer(None, 5)
        ... except OutputError as error:
        ...     print(str(error).partition(";")[0])
        encoder: returned NoneType for 5 images as 'output'
    """


def known_pool(pool: str | None) -> Pool | None:
    """`pool`, if there is such a way to pool.

    Example:
        >>> known_pool("avg")
        Traceback (most recent call last):
        ValueError: pool: 'avg'; expected one of 'cls', 'mean', 'gap', or None

    Raises:
        ValueError: there is none.
    """
    if pool is not None and pool not in _POOLS:
        raise ValueError(f"pool: {pool!r}; expected one of {', '.join(map(repr, _POOLS))}, or None")
    return pool  # type: ignore[return-value]


def vectors_by_layer(
    out: Any, n: int, pool: Pool | None = None, layer: str | None = None
) -> dict[str, Tensor]:
    """Vectors by name of what an encoder, or one of its layers, returned for a batch.

    Example:
        >>> tokens = np.arange(12.0).reshape(2, 3, 2)
        >>> vectors_by_layer(tokens, 2, "cls")["output"]
        tensor([[0., 1.],
                [6., 7.]])
        >>> list(vectors_by_layer((tokens[:, 0], tokens), 2, "mean"))
        ['output.0', 'output.1']

    Args:
        out: see the table above.
        n: images in the batch.
        pool: how tokens and maps become vectors.
        layer: the layer's name; None for the encoder's own output, whose dictionaries have names
            that need nothing in front.

    Returns:
        name -> float32 [n, D], on the device of `out`; where it was float32 vectors already, these
        themselves.

    Raises:
        OutputError: something else, or what `pool` does not fit.
    """
    parts = _parts(out, n, pool, layer)
    return {name: _vectors(value, n, pool, name) for name, value in parts.items()}


def _parts(out: Any, n: int, pool: Pool | None, layer: str | None) -> dict[str, Any]:
    """One output, or several, by name."""
    name = layer or OUTPUT
    if isinstance(out, Mapping) and hasattr(out, "last_hidden_state"):
        pooled = getattr(out, "pooler_output", None)
        return {name: out.last_hidden_state if pool or pooled is None else pooled}
    if isinstance(out, Mapping) or hasattr(out, "_asdict"):
        layers = out if isinstance(out, Mapping) else out._asdict()
        found = {f"{layer}.{key}" if layer else str(key): value for key, value in layers.items()}
        if not found or len(found) < len(layers):
            raise OutputError(
                f"encoder: returned the layers {list(layers)}; expected one or more, each of a "
                "name of its own"
            )
        return found
    if not isinstance(out, tuple | list):
        return {name: out}
    if not out or not all(_is_batch(one, n) for one in out):
        what = ", ".join(map(_kind, out[:5])) + (", ..." if len(out) > 5 else "")
        raise OutputError(
            f"encoder: returned a {type(out).__name__} ({what}) for {n} images as {name!r}; "
            f"expected tensors [{n}, ...] only; `outputs=lambda out: out[0]` takes the first"
        )
    return {name: out[0]} if len(out) == 1 else {f"{name}.{i}": x for i, x in enumerate(out)}


def _is_batch(value: Any, n: int) -> bool:
    return isinstance(value, np.ndarray | Tensor) and value.ndim > 0 and len(value) == n


def _kind(value: Any) -> str:
    return str(tuple(value.shape)) if hasattr(value, "shape") else type(value).__name__


def _vectors(values: Any, n: int, pool: Pool | None, layer: object) -> Tensor:
    fits = _is_batch(values, n) and values.ndim in (2, 3, 4)
    if not fits:
        raise OutputError(
            f"encoder: returned {_kind(values)} for {n} images as {layer!r}; expected [{n}, D], "
            f"[{n}, D, h, w], [{n}, T, D] with `pool`, or a dictionary of such ({_ELSE})"
        )
    try:
        x = _checks.as_tensor(values, f"encoder's {layer!r}")
    except ValueError as error:
        raise OutputError(str(error)) from None
    if x.is_complex():
        raise OutputError(f"encoder's {layer!r}: dtype {x.dtype}; expected real numbers")
    x = x.float()
    if x.ndim == 3:
        return _of_tokens(x, pool, layer)
    if x.ndim == 2:
        return x
    if pool == "cls":
        raise OutputError(
            f"pool: 'cls', and encoder's {layer!r} has maps {_kind(x)}, which have no class token; "
            "expected 'gap', 'mean' or None, the mean over places"
        )
    return x.mean(dim=(2, 3))


def _of_tokens(x: Tensor, pool: Pool | None, layer: object) -> Tensor:
    if pool is None or pool == "gap":
        said = "None" if pool is None else "'gap', which is for maps [N, D, h, w]"
        raise OutputError(
            f"encoder: returned tokens {_kind(x)} as {layer!r}, with pool {said}; expected 'cls' "
            f"(the first token) or 'mean' (of all tokens); or {_ELSE}"
        )
    if not x.shape[1]:
        raise OutputError(
            f"encoder: returned tokens {_kind(x)} as {layer!r}; expected one token or more"
        )
    return x[:, 0] if pool == "cls" else x.mean(dim=1)
