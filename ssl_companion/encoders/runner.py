"""Run somebody's encoder over images, whatever it is and returns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ssl_companion.data import augmentation
from ssl_companion.measures import _checks

Encoder = Callable[[Tensor], Any]


class Runner:
    """Features by layer, float32 [N, D] on the device, of whatever the encoder is.

    Args:
        encoder: see `evaluate.measure_encoder`; None when the images are features already.
        preprocess: what to do to a batch first; None normalises bytes and leaves others alone.
        outputs: what to measure of what the encoder returns; None: all of it.
        batch: images at a time.
        device: where to run; None takes that of the module's parameters, or the CPU.
    """

    def __init__(
        self,
        encoder: Encoder | None,
        preprocess: Callable[[Tensor], Tensor] | None,
        outputs: Callable[[Any], Any] | None,
        batch: int,
        device: torch.device | str | None,
    ) -> None:
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


def check_images(images: object, name: str) -> None:
    """Refuse what is no array of images or features, with the way to one.

    Raises:
        ValueError: a loader, a data set, a list, or too few dimensions.
    """
    wanted = "expected an array or tensor [N, 3, H, W] or [N, D]"
    if isinstance(images, DataLoader):
        raise ValueError(
            f"{name}: a DataLoader; {wanted}. Gather its batches: `images, labels = "
            "(torch.cat(parts) for parts in zip(*loader))`"
        )
    if isinstance(images, Dataset):
        raise ValueError(
            f"{name}: {type(images).__name__}, a data set of torch; {wanted}. Gather its pairs: "
            "`images, labels = torch.utils.data.default_collate([*dataset])`"
        )
    if not isinstance(images, (np.ndarray, Tensor)):
        raise ValueError(f"{name}: {type(images).__name__}; {wanted}")
    if images.ndim < 2:
        raise ValueError(f"{name}: shape {tuple(images.shape)}; {wanted}")


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
