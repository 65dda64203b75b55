"""Validation shared by the measures: "<argument>: <value>; expected <what>"."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

ArrayLike = Any  # numpy array, torch tensor, or nested sequence of numbers


def as_tensor(value: ArrayLike, name: str) -> Tensor:
    """`value` as a detached tensor, sharing memory where that is possible."""
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise ValueError(
                f"{name}: a {value.layout} tensor; expected a dense one; call to_dense()"
            )
        return value.detach()
    try:
        array = np.asarray(value)
    except ValueError as error:  # a ragged nesting of lists
        raise ValueError(f"{name}: not rectangular ({error}); expected an array") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: dtype {array.dtype}; expected real numbers, as array or tensor")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        # Memory maps are read-only, and nothing here writes to its input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


_LARGEST = 1e150  # squares of more overflow float64


def _refuse_non_finite(x: Tensor, name: str) -> None:
    low, high = (float(v) for v in torch.aminmax(x))  # one pass; NaN propagates
    if low > -_LARGEST and high < _LARGEST:
        return
    where = (~(x.abs() < _LARGEST)).nonzero()[0].tolist()
    value = float(x[tuple(where)])
    expected = f"magnitudes below {_LARGEST:g}" if np.isfinite(value) else "finite numbers only"
    raise ValueError(
        f"{name}[{', '.join(map(str, where))}]: {value}; expected {expected};"
        " drop or mend such rows first"
    )


def features(
    value: ArrayLike,
    name: str = "X",
    *,
    dims: int | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """A finite floating-point tensor [N, D] with N, D >= 1.

    float32 and float64 keep their type, half precisions become float32 and integers
    float64, each without loss (integers up to 2**53).

    Args:
        value: numpy array, torch tensor or nested list of real numbers.
        name: the argument's name, for the message.
        dims: the D that is required, or None.
        device: where the result shall live; None keeps it where it is.

    Raises:
        ValueError: not two-dimensional, empty, not real, NaN or infinite, or of the wrong D.
    """
    x = as_tensor(value, name)
    if x.ndim != 2:
        raise ValueError(
            f"{name}: shape {tuple(x.shape)}; expected two dimensions, [N samples, D dimensions]"
        )
    if x.numel() == 0:
        raise ValueError(f"{name}: empty, shape {tuple(x.shape)}; expected one sample or more")
    if dims is not None and x.shape[1] != dims:
        raise ValueError(f"{name}: {x.shape[1]} dimensions; expected {dims}")
    if x.dtype in (torch.bool,) or x.is_complex():
        raise ValueError(f"{name}: dtype {x.dtype}; expected real numbers")
    if not x.is_floating_point():
        x = x.double()
    elif x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    if device is not None:
        x = x.to(device)
    _refuse_non_finite(x, name)
    return x


def labels(
    value: ArrayLike,
    name: str = "y",
    *,
    length: int | None = None,
    of: str = "X",
    device: torch.device | str | None = None,
) -> Tensor:
    """An int64 tensor [N] of labels that are zero or more.

    Args:
        length: the N that is required (that of the argument called `of`), or None.

    Raises:
        ValueError: not one-dimensional, empty, not integers, negative, or of the wrong length.
    """
    y = as_tensor(value, name)
    if y.ndim != 1:
        raise ValueError(f"{name}: shape {tuple(y.shape)}; expected one dimension, [N samples]")
    if y.dtype == torch.bool or y.is_floating_point() or y.is_complex():
        raise ValueError(
            f"{name}: dtype {y.dtype}; expected integer labels; convert class indices to int64"
        )
    if length is not None and len(y) != length:
        raise ValueError(f"{name}: {len(y)} labels; expected {length}, one for each row of {of}")
    if len(y) == 0:
        raise ValueError(f"{name}: empty; expected one label or more")
    y = y.long() if device is None else y.to(device=device, dtype=torch.int64)
    if (low := int(y.min())) < 0:
        where = int((y == low).nonzero()[0, 0])
        raise ValueError(f"{name}[{where}]: {low}; expected a label of 0 or more")
    return y


def refuse_absent(counts: Tensor, name: str = "y", classes: Tensor | None = None) -> None:
    """Refuse counts [K] with an empty class or with fewer than two classes.

    Raises:
        ValueError: naming the absent classes, or the single one.
    """
    named = torch.arange(len(counts)) if classes is None else classes.cpu()
    absent = named[(counts == 0).cpu()].tolist()
    if absent:
        shown = ", ".join(map(str, absent[:10])) + (", ..." if len(absent) > 10 else "")
        raise ValueError(
            f"{name}: no sample of class {shown} ({len(absent)} of {len(counts)} absent); expected"
            " every class from 0 to the largest label to occur; relabel without gaps"
        )
    if len(counts) < 2:
        raise ValueError(f"{name}: the single class {named.tolist()}; expected two classes or more")


def positive(value: float, name: str) -> float:
    """`value` as a float above zero.

    Raises:
        ValueError: not a finite number above zero.
    """
    number = _number(value, name)
    if not (np.isfinite(number) and number > 0):
        raise ValueError(f"{name}: {value!r}; expected a finite number above 0")
    return number


def not_negative(value: float, name: str) -> float:
    """`value` as a finite float of zero or more.

    Raises:
        ValueError: not such a number.
    """
    number = _number(value, name)
    if not (np.isfinite(number) and number >= 0):
        raise ValueError(f"{name}: {value!r}; expected a finite number of 0 or more")
    return number


def _number(value: float, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r}; expected a number") from None


def at_least(value: int, least: int, name: str) -> int:
    """`value` as an int of `least` or more.

    Raises:
        ValueError: not an integer, or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name}: {value!r}; expected an integer of {least} or more")
    return int(value)


def one_of(value: str, allowed: tuple[str, ...], name: str) -> str:
    """`value` if it is among `allowed`.

    Raises:
        ValueError: otherwise, listing what is allowed.
    """
    if value not in allowed:
        raise ValueError(f"{name}: {value!r}; expected one of {', '.join(map(repr, allowed))}")
    return value


def labels_below(y: Tensor, k: int, name: str = "y") -> None:
    """Refuse labels of k or more.

    Raises:
        ValueError: naming the largest.
    """
    if (largest := int(y.max())) >= k:
        raise ValueError(f"{name}: a label {largest}; expected labels below {k}")


def in_kind(result: Tensor, X: ArrayLike) -> np.ndarray | Tensor:
    """`result` as a tensor on the device of `X` if that is a tensor, else as a numpy array."""
    return result.to(X.device) if isinstance(X, Tensor) else result.cpu().numpy()


def accuracy(predicted: np.ndarray | Tensor, y: Tensor) -> float:
    """Share of `predicted` [N] that equals `y` [N], in [0, 1].

    Raises:
        ValueError: lengths differ.
    """
    found = torch.as_tensor(predicted).cpu()
    if len(y) != len(found):
        raise ValueError(f"y: {len(y)} labels; expected {len(found)}, one for each row of X")
    return float((found == y.cpu()).double().mean())
