"""Run somebody's encoder over images, whatever it is and returns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from ssl_companion.data import augmentation
from ssl_companion.errors import CompanionError
from ssl_companion.measures import _checks
from ssl_companion.measures._torch_state import known_device
from ssl_companion.training.extract import Collected

Encoder = Callable[[Tensor], Any]


class EncoderError(CompanionError, RuntimeError):
    """An encoder failed, or its `preprocess` or `outputs`; the message says on what batch.

    Example:
        >>> try:
        ...     Runner(lambda x: x.absent)(np.zeros((5, 3, 8, 6), np.float32), "images")
        ... except EncoderError as error:
        ...     print(str(error).partition(";")[0][-40:])
        for float32 of shape (5, 3, 8, 6) on cpu
    """


class Running(TypedDict, total=False):
    """How an encoder is run: keyword arguments of `measure_encoder` and `record_encoder`.

    Example:
        >>> how: Running = {"batch": 32, "outputs": lambda out: out[0]}
        >>> Runner(lambda x: (x.mean(dim=(2, 3)), None), **how).batch
        32

    Attributes:
        preprocess: what to do to a batch first, on the device; None normalises bytes and leaves
            others alone.
        outputs: picks from what the encoder returns for a batch what to measure; None: all of it.
        batch: images at a time.
        device: where to run; None takes that of the module's parameters, or the CPU.
    """

    preprocess: Callable[[Tensor], Tensor] | None
    outputs: Callable[[Any], Any] | None
    batch: int
    device: torch.device | str | None


class Runner:
    """Features by layer, float32 [N, D] on the device, of whatever the encoder is.

    Example:
        >>> colours = Runner(lambda x: x.mean(dim=(2, 3)))
        >>> colours(np.zeros((5, 3, 8, 8), np.uint8), "images")["output"].shape
        torch.Size([5, 3])

    Args:
        encoder: see `evaluate.measure_encoder`; None when the images are features already.
        preprocess, outputs, batch, device: see `Running`.

    Raises:
        ValueError: something that cannot be called, weights without numbers, a batch below 1, or
            no such device.
    """

    def __init__(
        self,
        encoder: Encoder | None,
        *,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        outputs: Callable[[Any], Any] | None = None,
        batch: int = 256,
        device: torch.device | str | None = None,
    ) -> None:
        given = {"encoder": encoder, "preprocess": preprocess, "outputs": outputs}
        for name, function in given.items():
            if function is not None and not callable(function):
                also = "a module, a function" if name == "encoder" else "a function"
                raise ValueError(f"{name}: {_short(function)}; expected {also}, or None")
        self.encoder, self.preprocess, self.outputs = encoder, preprocess, outputs
        self.batch = _checks.at_least(batch, 1, "batch")
        self._moves = known_device(device)
        parameters = list(encoder.parameters()) if isinstance(encoder, nn.Module) else []
        tensors = parameters + (list(encoder.buffers()) if isinstance(encoder, nn.Module) else [])
        if any(tensor.is_meta for tensor in tensors):
            raise ValueError(
                "encoder: weights on the meta device, which holds no numbers; expected loaded "
                "ones; build it under `torch.device('cpu')`, and load its weights"
            )
        # The precision that a module computes in; None: a function takes float32 or less.
        self.dtype = next((p.dtype for p in parameters if p.is_floating_point()), None)
        self.device = self._moves or (tensors[0].device if tensors else torch.device("cpu"))

    def __call__(self, images: np.ndarray | Tensor, name: str) -> dict[str, Tensor]:
        if self.encoder is None:
            if images.ndim != 2:
                raise ValueError(
                    f"{name}: shape {tuple(images.shape)}; without an encoder expected features "
                    "[N, D]"
                )
            return {"features": _checks.features(images, name, device=self.device)}
        if self.preprocess is None:
            _check_layout(images, name)
        found = Collected(len(images))
        # No inference mode, not the caller's either: what a network keeps of it (tables of
        # positions, weights that are moved) could not be trained any more.
        with torch.inference_mode(False), torch.no_grad(), _evaluating(self.encoder, self._moves):
            for start in range(0, len(images), self.batch):
                layers = self._encode(images[start : start + self.batch], name)
                now, before = ({k: v.shape[1] for k, v in one.items()} for one in
                               (layers, found.whole or layers))  # fmt: skip
                if now != before:
                    raise ValueError(
                        f"encoder: returned dimensions {now} for {name} {start} to "
                        f"{start + self.batch - 1}, {before} before; expected the same for all"
                    )
                found.add(layers)
        for layer, values in found.whole.items():
            if self.dtype == torch.float16 and not bool(values.isfinite().all()):
                raise ValueError(
                    f"encoder's {layer!r}: numbers that float16 does not hold (to 65,504); "
                    "expected finite ones; `encoder.float()` or `encoder.bfloat16()` has room"
                )
        return {k: _checks.features(v, f"encoder's {k!r}") for k, v in found.whole.items()}

    def _encode(self, some: np.ndarray | Tensor, name: str) -> dict[str, Tensor]:
        x = _checks.as_tensor(some, name)
        if x.dtype == torch.float64 and self.dtype != torch.float64:
            x = x.float()  # NumPy's usual type, and hardly ever a network's
        # A copy: somebody's `preprocess` or encoder may write to what it is given.
        x, n = x.to(self.device, copy=True), len(some)
        if self.preprocess is not None:
            x = _called("preprocess", self.preprocess, x, x)
            if not isinstance(x, Tensor) or x.ndim == 0 or len(x) != n:
                raise ValueError(
                    f"preprocess: returned {_short(x)} for {n} images; expected a tensor [{n}, ...]"
                )
        elif x.dtype == torch.uint8:
            x = augmentation.normalise(x.float() / 255)
        if x.is_floating_point():
            x = x.to(self.dtype or (torch.float32 if x.dtype == torch.float64 else x.dtype))
        assert self.encoder is not None
        out = _called("encoder", self.encoder, x, x)
        if self.outputs is not None:
            out = _called("outputs", self.outputs, out, x)
        layers = out if isinstance(out, Mapping) else {"output": out}
        found = {str(layer): _vectors(values, n, layer) for layer, values in layers.items()}
        if not found or len(found) < len(layers):
            raise ValueError(
                f"encoder: returned the layers {list(layers)}; expected one or more, each of a "
                "name of its own"
            )
        return found


def _short(value: Any) -> str:
    """A value of whatever kind in a few words."""
    if isinstance(value, np.ndarray | Tensor):
        return f"{type(value).__name__} of shape {tuple(value.shape)}"
    plain = isinstance(value, str | int | float | bool)
    return repr(value)[:60] if plain else type(value).__name__


def _called(what: str, function: Callable[[Any], Any], given: Any, x: Tensor) -> Any:
    """What a function of somebody's returns; what it raises is said with the batch."""
    try:
        return function(given)
    except CompanionError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # Of TorchScript a trace comes first, and the error last.
        said = lines[-1 if "TorchScript" in lines[0] else 0][:200] if lines else ""
        kind = str(x.dtype).removeprefix("torch.")
        raise EncoderError(
            f"{what}: failed ({type(error).__name__}: {said}) for {kind} of shape "
            f"{tuple(x.shape)} on {x.device}; expected an output for each; {_way_out(error)}"
        ) from error


def _way_out(error: Exception) -> str:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "a smaller `batch` takes less memory"
    if "guard" in str(error).lower():
        return "export the network with `dynamic_shapes`, so that it takes batches of any size"
    return "`preprocess` can make images of another size and type"


def _check_layout(images: np.ndarray | Tensor, name: str) -> None:
    """Images that no `preprocess` brings into order have to be in order."""
    shape, kind = tuple(images.shape), str(images.dtype).removeprefix("torch.")
    if images.ndim == 4 and shape[3] == 3 and shape[1] != 3:
        turn = "permute" if isinstance(images, Tensor) else "transpose"
        raise ValueError(
            f"{name}: shape {shape}, channels last; expected [N, 3, H, W]; "
            f"`{turn}(0, 3, 1, 2)` makes it that"
        )
    if kind == "uint8" and (images.ndim != 4 or shape[1] != 3):
        raise ValueError(
            f"{name}: uint8 of shape {shape}; expected [N, 3, H, W], since every channel is "
            "normalised for itself; repeat a grey one three times, or give a `preprocess`"
        )
    if images.ndim == 4 and not kind.startswith(("float", "bfloat")) and kind != "uint8":
        raise ValueError(
            f"{name}: {kind}; expected uint8 (0 to 255, normalised for you), floats, or a "
            "`preprocess` that makes floats"
        )


def _vectors(values: Any, n: int, layer: object) -> Tensor:
    fits = isinstance(values, np.ndarray | Tensor) and values.ndim in (2, 4) and len(values) == n
    if not fits:
        shape = tuple(values.shape) if hasattr(values, "shape") else type(values).__name__
        raise ValueError(
            f"encoder: returned {shape} for {n} images as {layer!r}; expected [{n}, D], "
            f"[{n}, D, h, w] or a dictionary of such (`outputs` picks what to measure, as in "
            "`outputs=lambda out: out.last_hidden_state[:, 0]`)"
        )
    x = _checks.as_tensor(values, f"encoder's {layer!r}")
    if x.is_complex():
        raise ValueError(f"encoder's {layer!r}: dtype {x.dtype}; expected real numbers")
    x = x.float()
    return x.mean(dim=(2, 3)) if x.ndim == 4 else x


@contextlib.contextmanager
def _evaluating(encoder: Encoder, device: torch.device | None) -> Iterator[None]:
    """A module in evaluation mode, on `device` if one is given; afterwards it is as it was."""
    if not isinstance(encoder, nn.Module):
        yield
        return
    # Frozen TorchScript has no mode any more, and is in evaluation mode.
    modes = {m: m.training for m in encoder.modules() if hasattr(m, "training")}
    tensors = [*encoder.parameters(), *encoder.buffers()]
    before = tensors[0].device if tensors else device
    try:
        _evaluate(encoder)
        if device is not None and before != device:
            encoder.to(device)
        yield
    finally:
        if device is not None and before != device:
            encoder.to(before)
        for module, training in modes.items():
            if type(module).train is not nn.Module.train and not _exported(module):
                module.train(training)  # which may do more than set a flag
        for module, training in modes.items():
            module.training = training


def _exported(module: nn.Module) -> TypeGuard[torch.fx.GraphModule]:
    """Whether it is a program of `torch.export`, whose mode is the one it was exported in."""
    return isinstance(module, torch.fx.GraphModule) and "train" in vars(module)


def _evaluate(encoder: nn.Module) -> None:
    programs = (module for module in encoder.modules() if _exported(module))
    for node in (node for program in programs for node in program.graph.nodes):
        arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
        given = dict(zip((one.name for one in arguments), node.args, strict=False)) | node.kwargs
        if given.get("training") is True or given.get("train") is True:
            raise ValueError(
                f"encoder: exported in training mode ({node.target}); expected evaluation mode; "
                "call `eval()` before `torch.export.export`"
            )
    with contextlib.suppress(NotImplementedError):  # of an exported part
        encoder.eval()
    for module in encoder.modules():
        if hasattr(module, "training"):
            module.training = False
