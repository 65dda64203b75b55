"""Run somebody's encoder over images, whatever it is and returns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from ssl_companion.data import augmentation
from ssl_companion.measures import _checks

Encoder = Callable[[Tensor], Any]


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
        ValueError: a batch below 1.
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
        if batch < 1:
            raise ValueError(f"batch: {batch!r}; expected 1 or more")
        self.encoder, self.preprocess, self.batch = encoder, preprocess, batch
        self.outputs = outputs
        parameters = list(encoder.parameters()) if isinstance(encoder, nn.Module) else []
        if device is None and parameters:
            device = parameters[0].device
        # The precision that a module computes in; None: a function takes float32 or less.
        self.dtype = next((p.dtype for p in parameters if p.is_floating_point()), None)
        self.device = torch.device(device or "cpu")

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
        parts: dict[str, list[Tensor]] = {}
        with _evaluating(self.encoder, self.device), torch.inference_mode():
            for start in range(0, len(images), self.batch):
                for layer, values in self._encode(images[start : start + self.batch]).items():
                    parts.setdefault(layer, []).append(values)
        whole = {layer: torch.cat(pieces) for layer, pieces in parts.items()}
        return {k: _checks.features(v, f"encoder's {k!r}") for k, v in whole.items()}

    def _encode(self, some: np.ndarray | Tensor) -> dict[str, Tensor]:
        # A copy: the images may be a read-only memory map, which torch cannot share.
        x = torch.from_numpy(some.copy()) if isinstance(some, np.ndarray) else some
        x = x.to(self.device)
        if x.dtype == torch.float64 and self.dtype != torch.float64:
            x = x.float()  # NumPy's usual type, and hardly ever a network's
        if self.preprocess is not None:
            x = self.preprocess(x)
        elif x.dtype == torch.uint8:
            x = augmentation.normalise(x.float() / 255)
        if x.is_floating_point():
            x = x.to(self.dtype or (torch.float32 if x.dtype == torch.float64 else x.dtype))
        assert self.encoder is not None
        out = self.encoder(x)
        if self.outputs is not None:
            out = self.outputs(out)
        layers = out if isinstance(out, Mapping) else {"output": out}
        return {str(name): _vectors(values, len(x)) for name, values in layers.items()}


def _check_layout(images: np.ndarray | Tensor, name: str) -> None:
    """Images that no `preprocess` brings into order have to be in order."""
    shape, kind = tuple(images.shape), str(images.dtype).removeprefix("torch.")
    if images.ndim == 4 and shape[3] == 3 and shape[1] != 3:
        turn = "permute" if isinstance(images, Tensor) else "transpose"
        raise ValueError(
            f"{name}: shape {shape}, channels last; expected [N, 3, H, W]; "
            f"`{turn}(0, 3, 1, 2)` makes it that"
        )
    if images.ndim == 4 and kind == "uint8" and shape[1] != 3:
        raise ValueError(
            f"{name}: uint8 of shape {shape}; expected [N, 3, H, W], since every channel is "
            "normalised for itself; repeat a grey one three times, or give a `preprocess`"
        )
    if images.ndim == 4 and not kind.startswith(("float", "bfloat")) and kind != "uint8":
        raise ValueError(
            f"{name}: {kind}; expected uint8 (0 to 255, normalised for you), floats, or a "
            "`preprocess` that makes floats"
        )


def _vectors(values: Any, n: int) -> Tensor:
    if not isinstance(values, Tensor) or values.ndim not in (2, 4) or len(values) != n:
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"encoder: returned {shape} for {n} images; expected [{n}, D], [{n}, D, h, w] or a "
            "dictionary of such (`outputs` picks what to measure, as in `outputs=lambda out: "
            "out.last_hidden_state[:, 0]`)"
        )
    return (values.mean(dim=(2, 3)) if values.ndim == 4 else values).float()


@contextlib.contextmanager
def _evaluating(encoder: Encoder, device: torch.device) -> Iterator[None]:
    """A module in evaluation mode on the device; afterwards every part is as it was."""
    if not isinstance(encoder, nn.Module):
        yield
        return
    modes = {module: module.training for module in encoder.modules()}
    before = next((p.device for p in encoder.parameters()), device)
    try:
        encoder.eval().to(device)
        yield
    finally:
        encoder.to(before)
        for module, training in modes.items():
            module.training = training
