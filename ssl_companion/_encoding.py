"""Run somebody's encoder over images, whatever it is and returns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_companion.data import views
from ssl_companion.measures import _checks

Encoder = Callable[[Tensor], Any]


class Runner:
    """Features by layer, float32 [N, D] on the device, of whatever the encoder is.

    Args:
        encoder: see `own.measure_encoder`; None when the images are features already.
        preprocess: what to do to a batch first; None normalises bytes and leaves others alone.
        batch: images at a time.
        device: where to run; None takes that of the module's parameters, or the CPU.
    """

    def __init__(
        self,
        encoder: Encoder | None,
        preprocess: Callable[[Tensor], Tensor] | None,
        batch: int,
        device: torch.device | str | None,
    ) -> None:
        self.encoder, self.preprocess, self.batch = encoder, preprocess, batch
        if device is None and isinstance(encoder, nn.Module):
            device = next((p.device for p in encoder.parameters()), None)
        self.device = torch.device(device or "cpu")

    def __call__(self, images: np.ndarray | Tensor, name: str) -> dict[str, Tensor]:
        if self.encoder is None:
            if images.ndim != 2:
                raise ValueError(
                    f"{name}: shape {tuple(images.shape)}; without an encoder expected features "
                    "[N, D]"
                )
            return {"features": _checks.features(images, name, device=self.device)}
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
        if self.preprocess is not None:
            x = self.preprocess(x)
        elif x.dtype == torch.uint8:
            x = views.normalise(x.float() / 255)
        assert self.encoder is not None
        out = self.encoder(x)
        layers = out if isinstance(out, Mapping) else {"output": out}
        return {str(name): _vectors(values, len(x)) for name, values in layers.items()}


def _vectors(values: Any, n: int) -> Tensor:
    if not isinstance(values, Tensor) or values.ndim not in (2, 4) or len(values) != n:
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(
            f"encoder: returned {shape} for {n} images; expected [{n}, D], [{n}, D, h, w] or a "
            "dictionary of such (wrap it in a function that picks what to measure)"
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
