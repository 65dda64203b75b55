"""Validation shared by the measures: "<argument>: <value>; expected <what>"."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_companion.io.arguments import at_least as at_least
from ssl_companion.io.arguments import not_negative as not_negative
from ssl_companion.io.arguments import one_of as one_of
from ssl_companion.io.arguments import positive as positive
from ssl_companion.measures._torch_state import computing_device

ArrayLike = Any  # numpy array, torch tensor, or nested sequence of numbers


def as_tensor(value: ArrayLike, name: str) -> Tensor:
    """`value` as a detached tensor, sharing memory where that is possible."""
    if isinstance(value, Tensor):
        if value.is_meta:
            raise ValueError(
                f"{name}: a tensor on the meta device; expected one that holds numbers"
            )
        if value.layout != torch.strided or value.is_quantized:
            kind, call = (
                (value.dtype, "dequantize") if value.is_quantized else (value.layout, "to_dense")
            )
            raise ValueError(f"{name}: a {kind} tensor; expected a dense one; call {call}()")
        return value.detach()
    array = as_array(value, name)
    if array.dtype.kind not in "biuf":
        way = f"; `np.asarray({name}, float)` tries" if array.dtype.kind in "OUST" else ""
        raise ValueError(
            f"{name}: dtype {array.dtype}; expected real numbers, as array or tensor{way}"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = array.copy()
    with warnings.catch_warnings():
        # Memory maps are read-only, and nothing here writes to its input.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


def as_array(value: ArrayLike, name: str) -> np.ndarray:
    """`value` as a numpy array that says all that `value` says."""
    if isinstance(value, np.ma.MaskedArray) and (hidden := int(np.ma.count_masked(value))):
        raise ValueError(
            f"{name}: a masked array, {hidden} of {value.size} entries masked; expected none; drop "
            "such rows first, or fill them by `filled`"
        )
    if hasattr(value, "toarray"):
        raise ValueError(f"{name}: a sparse matrix; expected a dense one; call toarray()")
    try:
        return np.asarray(value)
    except ValueError as error:  # a ragged nesting of lists
        raise ValueError(f"{name}: not rectangular ({error}); expected an array") from None
    except (TypeError, RuntimeError) as error:  # a list of tensors with gradients
        raise ValueError(f"{name}: {error}; expected one array or tensor") from None


# Squares of more overflow float64, and of less lose digits or are zero.
_LARGEST, _SMALLEST = 1e150, 1e-130


def refuse_non_finite(x: Tensor, name: str, squared: bool = True) -> None:
    """Refuse what is not finite, or too large or too small for squares.

    Raises:
        ValueError: naming the place and the value.
    """
    low, high = (float(v) for v in torch.aminmax(x))  # one pass; NaN propagates
    if low > -_LARGEST and high < _LARGEST:
        if squared and 0 < max(-low, high) < _SMALLEST:
            raise ValueError(
                f"{name}: no magnitude above {max(-low, high):g}; expected {_SMALLEST:g} or more, "
                f"or zeros only; multiply {name} by a constant"
            )
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
    squared: bool = True,
    summed: bool = False,
) -> Tensor:
    """A finite floating-point tensor [N, D] with N, D >= 1.

    float32 and float64 keep their type, half precisions become float32 and integers
    float64, each without loss (integers up to 2**53).

    Args:
        value: numpy array, torch tensor or nested list of real numbers.
        name: the argument's name, for the message.
        dims: the D that is required, or None.
        device: where the result shall live; None keeps it where it is. The CPU stands in for a
            device without float64.
        squared: whether squares of these numbers are taken, so that all of them may be too small.
        summed: whether the caller sums them in float64 and calls `refuse_non_finite` if a sum is
            not finite, which saves a look at every float32.

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
    return _real(x, name, device, squared, summed)


def row(
    value: ArrayLike, name: str, *, length: int | None = None, device: torch.device | None = None
) -> Tensor:
    """Finite real numbers [N], N >= 1, float64, under the rules of `features`.

    Args:
        length: the N that is required, or None.

    Raises:
        ValueError: not one-dimensional, empty, not real, NaN or infinite, or of the wrong N.
    """
    x = as_tensor(value, name)
    if x.ndim != 1:
        raise ValueError(f"{name}: shape {tuple(x.shape)}; expected one dimension, [N]")
    if len(x) == 0:
        raise ValueError(f"{name}: empty; expected one number or more")
    if length is not None and len(x) != length:
        raise ValueError(f"{name}: {len(x)} numbers; expected {length}")
    return _real(x, name, device, squared=False).double()


def _real(
    x: Tensor,
    name: str,
    device: torch.device | str | None,
    squared: bool,
    summed: bool = False,
) -> Tensor:
    if x.dtype == torch.bool or x.is_complex():
        raise ValueError(f"{name}: dtype {x.dtype}; expected real numbers")
    x = x.to(computing_device(x.device if device is None else torch.device(device)))
    if not x.is_floating_point():
        x = x.double()
    elif x.dtype not in (torch.float32, torch.float64):
        x = x.float()
    if not (summed and x.dtype == torch.float32):
        refuse_non_finite(x, name, squared)
    return x


def labels(
    value: ArrayLike,
    name: str = "y",
    *,
    length: int | None = None,
    of: str = "X",
    device: torch.device | str | None = None,
    like: str = "",
) -> Tensor:
    """An int64 tensor [N] of labels that are zero or more.

    Args:
        length: the N that is required (that of the argument called `of`), or None.
        like: other labels, whose numbers these have to share: numbered by themselves, they would
            be others wherever a class is missing.

    Raises:
        ValueError: not one-dimensional, empty, not integers, negative, or of the wrong length.
    """
    number = f"`np.unique({name}, return_inverse=True)[1]` numbers them"
    if like:
        number = f"`np.searchsorted(np.unique({like}), {name})` numbers them as those of {like}"
    y = as_tensor(value if isinstance(value, Tensor) else _numbers_of(value, name, number), name)
    _refuse_other_shape(tuple(y.shape), name, length, of)
    if y.dtype == torch.bool or y.is_floating_point() or y.is_complex():
        _refuse_nan(y, name)
        raise ValueError(
            f"{name}: dtype {y.dtype}; expected integer labels; convert class indices to int64"
        )
    y = y.to(computing_device(y.device) if device is None else device, torch.int64)
    if (low := int(y.min())) < 0:
        where = int((y == low).nonzero()[0, 0])
        raise ValueError(f"{name}[{where}]: {low}; expected a label of 0 or more; {number}")
    return y


def _numbers_of(value: ArrayLike, name: str, number: str) -> np.ndarray:
    """`value` as numbers; words are refused with the way to numbers."""
    array = _label_array(value, name)
    if array.dtype.kind in "US" and array.size:
        kind, example = ("text", str) if array.dtype.kind == "U" else ("bytes", bytes)
        raise ValueError(
            f"{name}: {kind}, such as {example(array.flat[0])!r:.60}; expected integer labels; "
            f"{number}"
        )
    return array


def any_labels(
    value: ArrayLike, name: str = "y", *, length: int | None = None, of: str = "X"
) -> np.ndarray:
    """Labels [N] as scikit-learn takes them: int64, bool or text (str), whatever their values.

    Args:
        length: the N that is required (that of the argument called `of`), or None.

    Raises:
        ValueError: not one-dimensional, empty, of another kind, missing, or of the wrong length.
    """
    if isinstance(value, Tensor):
        y = as_tensor(value, name).cpu()
        array = (y.float() if y.dtype == torch.bfloat16 else y).numpy()
    else:
        array = _label_array(value, name)
    _refuse_other_shape(array.shape, name, length, of)
    if array.dtype.kind not in "iubU":
        _refuse_nan(array, name)
        ways = {
            "f": f"; `np.asarray({name}).astype(int)` makes whole numbers such",
            "S": f"; `np.asarray({name}, 'S').astype(str)` makes text of bytes",
        }
        raise ValueError(
            f"{name}: dtype {array.dtype}; expected labels that are integers or text"
            f"{ways.get(array.dtype.kind, '')}"
        )
    return array if array.dtype.kind in "bU" else _int64(array, name)


def _label_array(value: ArrayLike, name: str) -> np.ndarray:
    """`value` as numpy's, of integers, text or bytes where it holds such as Python's objects."""
    array = as_array(value, name)
    mixed = array.dtype.kind == "U" and not isinstance(value, np.ndarray)  # [1, "a"] is text
    if array.dtype.kind not in "OT" and not mixed:
        return _int64(array, name) if array.dtype.kind == "u" else array
    entries = np.asarray(value, dtype=object)
    first = entries.flat[0] if entries.size else 0
    kind = next((kind for kind in (str, bytes) if isinstance(first, kind)), int)
    for i, entry in enumerate(entries.flat):
        if not isinstance(entry, int | np.integer if kind is int else kind):
            raise ValueError(
                f"{name}[{i}]: {' '.join(repr(entry).split())[:60]}; expected labels of one kind, "
                "integers or text, none of them missing; drop such rows first"
            )
    try:
        return entries.astype({str: np.str_, bytes: np.bytes_, int: np.int64}[kind])
    except OverflowError:
        raise ValueError(
            f"{name}: {max(entries.flat)}; expected integers that int64 holds"
        ) from None


def _int64(array: np.ndarray, name: str) -> np.ndarray:
    if array.size and array.dtype.kind == "u" and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{name}: a label {array.max()}; expected integers that int64 holds")
    return array.astype(np.int64, copy=False)


def _refuse_other_shape(shape: tuple[int, ...], name: str, length: int | None, of: str) -> None:
    if len(shape) != 1:
        raise ValueError(f"{name}: shape {shape}; expected one dimension, [N samples]")
    if length is not None and shape[0] != length:
        raise ValueError(f"{name}: {shape[0]} labels; expected {length}, one for each row of {of}")
    if shape[0] == 0:
        raise ValueError(f"{name}: empty; expected one label or more")


def _refuse_nan(y: np.ndarray | Tensor, name: str) -> None:
    missing = torch.isnan(torch.as_tensor(y, device="cpu")) if _is_float(y) else None
    if missing is not None and bool(missing.any()):
        raise ValueError(
            f"{name}[{int(missing.nonzero()[0, 0])}]: nan; expected an integer label; drop such "
            "rows first"
        )


def _is_float(y: np.ndarray | Tensor) -> bool:
    return y.is_floating_point() if isinstance(y, Tensor) else y.dtype.kind == "f"


def class_counts(y: Tensor, name: str = "y") -> Tensor:
    """Samples of each class, int64 [K], of labels 0 to K-1.

    Nothing of the size of the largest label is made before it is known that none is absent.

    Raises:
        ValueError: naming the absent classes, or the single one.
    """
    k = int(y.max()) + 1
    if k > len(y):  # then some are absent
        present = torch.unique(y)
        below = min(k, len(present) + _SHOWN)
        counts = torch.bincount(present[present < below], minlength=below)
        _refuse_gaps((counts == 0).nonzero()[:, 0].tolist(), k - len(present), k, name)
    counts = torch.bincount(y)
    refuse_absent(counts, name)
    return counts


def refuse_absent(counts: Tensor, name: str = "y", classes: np.ndarray | None = None) -> None:
    """Refuse counts [K] with an empty class or with fewer than two classes.

    Args:
        classes: what the classes are called [K], where that was given; None: 0 to K-1.

    Raises:
        ValueError: naming the absent classes, or the single one.
    """
    named = np.arange(len(counts)) if classes is None else classes
    absent = named[(counts == 0).cpu().numpy()].tolist()
    if absent and classes is None:
        _refuse_gaps(absent, len(absent), len(counts), name)
    if absent:
        raise ValueError(
            f"{name}: no sample of class {_shown(absent, len(absent))} ({len(absent)} of "
            f"{len(counts)} absent); expected one or more of each of the `classes`"
        )
    if len(counts) < 2:
        raise ValueError(f"{name}: the single class {named.tolist()}; expected two classes or more")


_SHOWN = 10  # classes that a message lists


def _shown(some: list[Any], all_of_them: int) -> str:
    more = ", ..." if all_of_them > _SHOWN else ""
    return ", ".join(map(str, some[:_SHOWN])) + more


def _refuse_gaps(first: list[int], absent: int, k: int, name: str) -> None:
    raise ValueError(
        f"{name}: no sample of class {_shown(first, absent)} ({absent} of {k} absent); expected"
        " every class from 0 to the largest label to occur; relabel without gaps: "
        f"`np.unique({name}, return_inverse=True)[1]`"
    )


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
    found = as_tensor(predicted, "predicted").cpu()
    if len(y) != len(found):
        raise ValueError(f"y: {len(y)} labels; expected {len(found)}, one for each row of X")
    return float((found == y.cpu()).double().mean())
