"""Run somebody's encoder over images, whatever it is and returns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol, TypedDict, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ssl_companion.data import augmentation
from ssl_companion.encoders.running.modules import (
    NO_PARTS,
    evaluating,
    known_layers,
    listening,
    unwrapped,
)
from ssl_companion.encoders.running.outputs import OUTPUT, Pool, known_pool, vectors_by_layer
from ssl_companion.errors import CompanionError
from ssl_companion.measures import _checks
from ssl_companion.measures._torch_state import known_device
from ssl_companion.training.extract import Collected

Encoder = Callable[[Tensor], Any]
#: Images [N, ...], or an iterable of batches [n, ...] of them, which may say their number as
#: `total`.
ImageBatches = np.ndarray | Tensor | Iterable[np.ndarray | Tensor]
_BYTES = 50  # floats above it are bytes that somebody converted, and no normalised image


class EncoderError(CompanionError, RuntimeError):
    """An encoder failed, or its `preprocess` or `outputs`; the message says on what batch.

    Example:
        >>> try:
        ...     Runner(lambda x: x.absent)(np.zeros((5, 3, 8, 6), np.float32), "images")
        ... except EncoderError as error:
        ...     print(str(error).partition(";")[0][-40:])
        for float32 of shape (5, 3, 8, 6) on cpu
    """


@runtime_checkable
class Prepared(Protocol):
    """An encoder together with what prepares its images, as `networks.named.NamedEncoder`.

    Example:
        >>> from ssl_companion.encoders.networks.by_name import load_encoder
        >>> isinstance(load_encoder("pixels"), Prepared)
        True
    """

    @property
    def encoder(self) -> Encoder | None:
        """A module or a function."""

    @property
    def preprocess(self) -> Callable[[Tensor], Tensor] | None:
        """What makes of bytes that which it takes."""


class Running(TypedDict, total=False):
    """How an encoder is run: keyword arguments of `measure_encoder` and `record_encoder`.

    Example:
        >>> how: Running = {"batch": 32, "outputs": lambda out: out[0]}
        >>> Runner(lambda x: (x.mean(dim=(2, 3)), None), **how).batch
        32

    Attributes:
        preprocess: what to do to a batch first, on the device; None normalises bytes (grey ones
            are repeated to three channels) and leaves others alone.
        layers: names of submodules, such as "layer3" or "blocks.11", whose outputs are measured,
            in this order, in place of what the encoder returns; "output" is that. Of a submodule
            that runs several times in a pass the last output counts.
        outputs: picks from what the encoder (or each of the `layers`) returns for a batch what to
            measure, as in `lambda out: out.last_hidden_state[:, 0]`; None: all of it.
        pool: how tokens [N, T, D] become vectors: "cls" takes the first token, "mean" the mean
            over all tokens; None refuses them. Maps [N, D, h, w] (channels first) become their
            mean over places under "gap", "mean" and None. Vectors [N, D] stay as they are. See
            `outputs.vectors_by_layer` for dictionaries and tuples.
        batch: images at a time.
        device: where to run; None takes that of the module's parameters, or the CPU.
    """

    preprocess: Callable[[Tensor], Tensor] | None
    layers: Sequence[str] | None
    outputs: Callable[[Any], Any] | None
    pool: Pool | None
    batch: int
    device: torch.device | str | None


class Runner:
    """Features by layer, float32 [N, D] on the device, of whatever the encoder is.

    Memory: the features and one batch, also of a memory map and of a stream of batches that says
    its `total` (of one that does not, a layer's features twice for a moment).

    Example:
        >>> colours = Runner(lambda x: x.mean(dim=(2, 3)))
        >>> colours(np.zeros((5, 3, 8, 8), np.uint8), "images")["output"].shape
        torch.Size([5, 3])
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
        >>> batches = (np.zeros((n, 3, 8, 8), np.uint8) for n in (5, 2))
        >>> Runner(net, layers=["0"])(batches, "images")["0"].shape
        torch.Size([7, 4])

    Args:
        encoder: see `evaluate.measure_encoder`; None when the images are features already.
        preprocess, layers, outputs, pool, batch, device: see `Running`.
        progress: show a progress bar.

    Raises:
        ValueError: something that cannot be called, unknown layers, weights without numbers, a
            batch below 1, or no such device.
    """

    def __init__(
        self,
        encoder: Encoder | Prepared | None,
        *,
        preprocess: Callable[[Tensor], Tensor] | None = None,
        layers: Sequence[str] | None = None,
        outputs: Callable[[Any], Any] | None = None,
        pool: Pool | None = None,
        batch: int = 256,
        device: torch.device | str | None = None,
        progress: bool = False,
    ) -> None:
        if not callable(encoder) and isinstance(encoder, Prepared):
            preprocess = preprocess or encoder.preprocess
            encoder = encoder.encoder
        given = {"encoder": encoder, "preprocess": preprocess, "outputs": outputs}
        for name, function in given.items():
            if function is not None and not callable(function):
                also = "a module, a function" if name == "encoder" else "a function"
                raise ValueError(f"{name}: {_short(function)}; expected {also}, or None")
        self.preprocess, self.outputs, self.pool = preprocess, outputs, known_pool(pool)
        self.layers = known_layers(encoder, layers)
        self.encoder = unwrapped(encoder) if self.layers else encoder  # type: ignore[arg-type]
        self.batch, self.progress = _checks.at_least(batch, 1, "batch"), progress
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

    def __call__(self, images: ImageBatches, name: str) -> dict[str, Tensor]:
        """Features by layer.

        Args:
            images: an array or a tensor, which is read batch by batch, or any iterable of such
                batches, all of one kind; features [N, D] where there is no encoder.
            name: what the images are called in messages.

        Raises:
            ValueError: images, or outputs of the encoder, that will not do.
            EncoderError: the encoder itself failed, or `preprocess` or `outputs`.
        """
        if self.encoder is None and isinstance(images, np.ndarray | Tensor):
            return self._features_given(images, name)
        found = _Gathered(_total(images, name), name)
        encode = self._features_given if self.encoder is None else self._encode
        # No inference mode, not the caller's either: what a network keeps of it (tables of
        # positions, weights that are moved) could not be trained any more.
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            evaluating(self.encoder, self._moves),
            tqdm(desc=name, total=found.total, unit="image", disable=not self.progress) as bar,
        ):
            for some in self._batches(images, name):
                found.add(encode(some, name))
                bar.update(len(some))
        whole = found.whole()
        for layer, values in whole.items():
            if self.dtype == torch.float16 and not bool(values.isfinite().all()):
                raise ValueError(
                    f"encoder's {layer!r}: numbers that float16 does not hold (to 65,504); "
                    "expected finite ones; `encoder.float()` or `encoder.bfloat16()` has room"
                )
        return {k: _checks.features(v, f"encoder's {k!r}") for k, v in whole.items()}

    def _batches(self, images: ImageBatches, name: str) -> Iterator[np.ndarray | Tensor]:
        """Up to `batch` images at a time, in a layout that an encoder takes."""
        parts = [images] if isinstance(images, np.ndarray | Tensor) else _alike(images, name)
        for part in parts:
            if self.encoder is not None and self.preprocess is None:
                _check_layout(part, name)
            for start in range(0, len(part), self.batch):
                yield part[start : start + self.batch]

    def _features_given(self, some: np.ndarray | Tensor, name: str) -> dict[str, Tensor]:
        if some.ndim != 2:
            raise ValueError(
                f"{name}: shape {tuple(some.shape)}; without an encoder expected features [N, D]"
            )
        return {"features": _checks.features(some, name, device=self.device)}

    def _encode(self, some: np.ndarray | Tensor, name: str) -> dict[str, Tensor]:
        assert self.encoder is not None
        x, n = self._prepared(some, name), len(some)
        take = partial(self._vectors, x=x, n=n)
        parts = [layer for layer in self.layers if layer != OUTPUT]
        if not self.layers:
            return take(_called("encoder", self.encoder, x, x), None)
        assert isinstance(self.encoder, nn.Module)
        with listening(self.encoder, parts, take) as heard:
            out = _called("encoder", self.encoder, x, x)
        if silent := [layer for layer in parts if layer not in heard]:
            raise ValueError(
                f"layers: {silent[0]!r} returned nothing as the encoder ran; {NO_PARTS}"
            )
        if OUTPUT in self.layers:
            heard[OUTPUT] = take(out, OUTPUT)
        return {k: v for layer in self.layers for k, v in heard[layer].items()}

    def _prepared(self, some: np.ndarray | Tensor, name: str) -> Tensor:
        """A batch as the encoder takes it, on its device."""
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
            x = augmentation.normalise(in_colour(x).float() / 255)
        elif x.ndim == 4 and x.numel() and x.is_floating_point() and bool(x.amax() > _BYTES):
            warnings.warn(
                f"{name}: floats up to {float(x.amax()):g}, which the encoder gets as they are; "
                "bytes (uint8) would be scaled and normalised, or a `preprocess` can do that",
                stacklevel=4,
            )
        if x.is_floating_point():
            x = x.to(self.dtype or (torch.float32 if x.dtype == torch.float64 else x.dtype))
        return x

    def _vectors(self, out: Any, layer: str | None, *, x: Tensor, n: int) -> dict[str, Tensor]:
        if self.outputs is not None:
            out = _called("outputs", self.outputs, out, x)
        # Copies: a later part of the network may write over what an earlier one returned, and a
        # view of the first token would keep all tokens.
        by_layer = vectors_by_layer(out, n, self.pool, layer)
        return {name: vectors.clone() for name, vectors in by_layer.items()}


def in_colour(images: Tensor) -> Tensor:
    """Grey images repeated to three equal channels; those of three channels as they are.

    Example:
        >>> in_colour(torch.zeros(5, 8, 8)).shape
        torch.Size([5, 3, 8, 8])

    Args:
        images: [N, H, W], [N, 1, H, W] or [N, 3, H, W], of any type.

    Returns:
        [N, 3, H, W], of the same type.
    """
    images = images[:, None] if images.ndim == 3 else images
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


class _Gathered:
    """Rows by layer as they come, in memory of their full size where the number is known."""

    def __init__(self, total: int | None, name: str) -> None:
        self.total, self.name = total, name
        self._known = None if total is None else Collected(total)
        self._parts: dict[str, list[Tensor]] = {}
        self._widths: dict[str, int] = {}
        self._done = 0

    def add(self, layers: dict[str, Tensor]) -> None:
        widths = {layer: values.shape[1] for layer, values in layers.items()}
        end = self._done + len(next(iter(layers.values())))
        if self._done and widths != self._widths:
            raise ValueError(
                f"encoder: returned dimensions {widths} for {self.name} {self._done} to "
                f"{end - 1}, {self._widths} before; expected the same for all"
            )
        if self.total is not None and end > self.total:
            raise ValueError(
                f"{self.name}: {end} or more in batches; expected {self.total}, their `total`"
            )
        self._widths, self._done = widths, end
        if self._known is not None:
            self._known.add(layers)
            return
        for layer, values in layers.items():
            self._parts.setdefault(layer, []).append(values)

    def whole(self) -> dict[str, Tensor]:
        """name -> [N, D].

        Raises:
            ValueError: there was nothing, or less than was said.
        """
        if self.total not in (None, self._done):
            raise ValueError(
                f"{self.name}: {self._done} in batches; expected {self.total}, their `total`; an "
                "iterator can be gone through only once"
            )
        if not self._done:
            raise ValueError(
                f"{self.name}: no batch of images; expected one or more; an iterator can be gone "
                "through only once: make it anew, or give a list or a DataLoader's batches"
            )
        if self._known is not None:
            return self._known.whole
        return {layer: torch.cat(self._parts.pop(layer)) for layer in list(self._parts)}


def _total(images: ImageBatches, name: str) -> int | None:
    """How many images there are, if that is known."""
    if isinstance(images, np.ndarray | Tensor):
        return len(images)
    if isinstance(images, str | bytes | dict) or not isinstance(images, Iterable):
        raise ValueError(
            f"{name}: {_short(images)}; expected an array or a tensor [N, 3, H, W], or an iterable "
            "of such batches"
        )
    total = getattr(images, "total", None)
    return None if total is None else _checks.at_least(total, 1, f"{name}'s total")


def _alike(batches: Iterable[Any], name: str) -> Iterator[np.ndarray | Tensor]:
    """The batches that are not empty, all of them images of one shape and type."""
    first = None
    for i, batch in enumerate(batches):
        if not isinstance(batch, np.ndarray | Tensor) or batch.ndim < 2:
            way = "; `(x for x, _ in loader)` are those of pairs with labels"
            raise ValueError(
                f"{name}: batch {i} is {_short(batch)}; expected a tensor or an array "
                f"[n, 3, H, W]{way if isinstance(batch, tuple | list) else ''}"
            )
        if not len(batch):
            continue
        kind = tuple(batch.shape[1:]), str(batch.dtype).removeprefix("torch.")
        first = first or kind
        if kind != first:
            raise ValueError(
                f"{name}: batch {i} has images {kind[0]} of {kind[1]}, those before {first[0]} of "
                f"{first[1]}; expected one shape and type; resize them as they are loaded"
            )
        yield batch


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
    grey = images.ndim == 3 or (images.ndim == 4 and shape[1] == 1)
    if kind == "uint8" and not grey and (images.ndim != 4 or shape[1] != 3):
        raise ValueError(
            f"{name}: uint8 of shape {shape}; expected [N, 3, H, W], or grey [N, 1, H, W] or "
            "[N, H, W], since every channel is normalised for itself; or give a `preprocess`"
        )
    if images.ndim == 4 and not kind.startswith(("float", "bfloat")) and kind != "uint8":
        raise ValueError(
            f"{name}: {kind}; expected uint8 (0 to 255, normalised for you), floats, or a "
            "`preprocess` that makes floats"
        )
