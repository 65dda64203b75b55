"""Pretrained networks of timm, Hugging Face and torchvision, without their classifiers.

Each downloads its weights once, to the library's own cache. Images are resized as a whole to the
size that the network was made for, see `named.ImageInput`.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ssl_companion.encoders.networks.named import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImageInput,
    NamedEncoder,
    named,
)
from ssl_companion.encoders.running.runner import EncoderError
from ssl_companion.io.extras import MissingExtraError

_PIL_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def timm_encoder(name: str, device: torch.device | None = None) -> NamedEncoder:
    """A network of timm (github.com/huggingface/pytorch-image-models).

    Example:
        >>> timm_encoder("resnet50.a1_in1k").size  # downloads weights # doctest: +SKIP
        (224, 224)

    Args:
        name: of `timm.list_models(pretrained=True)`, with its tag or without.
        device: where it will be.

    Raises:
        MissingExtraError: timm is not installed.
        EncoderError: it has no such network, or its weights cannot be had.
    """
    timm = _library("timm", f"timm:{name}")
    model = _asked(
        f"timm:{name}", lambda: timm.create_model(name, pretrained=True, num_classes=0),
        "a name of `timm.list_models(pretrained=True)`", lambda: timm.list_models(pretrained=True),
    )  # fmt: skip
    config = timm.data.resolve_model_data_config(model)
    images = ImageInput(
        tuple(config["input_size"][1:]), tuple(config["mean"]), tuple(config["std"]),
        mode if (mode := config["interpolation"]) in _PIL_FILTERS.values() else "bicubic",
    )  # fmt: skip
    weights = getattr(model, "pretrained_cfg", None) or {}
    return named(
        name, _frozen(model, device), images, kind="timm", timm=timm.__version__,
        weights=weights.get("hf_hub_id") or weights.get("url"), tag=weights.get("tag"),
    )  # fmt: skip


def hugging_face_encoder(name: str, device: torch.device | None = None) -> NamedEncoder:
    """A vision model of Hugging Face's transformers, by `AutoModel` and `AutoImageProcessor`.

    Of CLIP and its kin the image tower is taken. A pooler whose weights the checkpoint has not is
    left out, where transformers would draw random ones; then `pool` says how tokens become vectors.

    Example:
        >>> dino = hugging_face_encoder("facebook/dinov2-small")  # doctest: +SKIP
        >>> dino.size  # downloads weights # doctest: +SKIP
        (224, 224)

    Args:
        name: of a model on huggingface.co, or the path of one.
        device: where it will be.

    Raises:
        MissingExtraError: transformers is not installed.
        EncoderError: there is no such model, it takes no images, or the checkpoint lacks weights.
    """
    spec = f"hf:{name}"
    transformers = _library("transformers", spec)
    wanted = "a model that takes images, of huggingface.co or of a folder"
    model, loading = _asked(
        spec,
        lambda: transformers.AutoModel.from_pretrained(name, output_loading_info=True),
        wanted,
    )
    processor = _asked(spec, lambda: transformers.AutoImageProcessor.from_pretrained(name), wanted)
    absent = set(loading["missing_keys"])
    if any(key.startswith("pooler.") for key in absent):
        model.pooler = None
    if random := sorted(key for key in absent if not key.startswith("pooler.")):
        raise EncoderError(
            f"{spec}: the checkpoint has no weights for {random[0]} ({len(random)} absent), which "
            "would be random; expected a whole one"
        )
    encoder = _ImageTower(model) if hasattr(model, "get_image_features") else model
    return named(
        name, _frozen(encoder, device), _of_processor(processor), kind="hf",
        transformers=transformers.__version__, weights=name,
        commit=getattr(model.config, "_commit_hash", None),
    )  # fmt: skip


def torchvision_encoder(name: str, device: torch.device | None = None) -> NamedEncoder:
    """A classifier of torchvision with its default weights; the last linear layer is left out.

    Example:
        >>> torchvision_encoder("resnet18").size  # downloads weights # doctest: +SKIP
        (224, 224)

    Args:
        name: of `torchvision.models.list_models(torchvision.models)`.
        device: where it will be.

    Raises:
        MissingExtraError: torchvision is not installed.
        EncoderError: it has no such network, or its weights cannot be had.
    """
    spec = f"torchvision:{name}"
    torchvision = _library("torchvision", spec)
    models, wanted = torchvision.models, "a name of `torchvision.models.list_models()`"
    known = lambda: models.list_models(module=models)  # noqa: E731
    weights = _asked(spec, lambda: models.get_model_weights(name).DEFAULT, wanted, known)
    model = _asked(spec, lambda: models.get_model(name, weights=weights), wanted, known)
    linear = [place for place, part in model.named_modules() if isinstance(part, nn.Linear)]
    if not linear:
        raise EncoderError(
            f"{spec}: has no linear layer; expected a network that ends in one, as resnet18 does"
        )
    parent, _, last = linear[-1].rpartition(".")
    setattr(model.get_submodule(parent), last, nn.Identity())
    preset = weights.transforms()
    [side] = preset.crop_size
    images = ImageInput(
        (side, side), tuple(preset.mean), tuple(preset.std), preset.interpolation.value
    )
    return named(
        name, _frozen(model, device), images, kind="torchvision",
        torchvision=torchvision.__version__, weights=weights.url,
    )  # fmt: skip


class _ImageTower(nn.Module):
    """The part of a model of images and texts that takes images."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        return self.model.get_image_features(pixel_values=x)


def _library(package: str, spec: str) -> Any:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{spec}: {error.name} is not installed; `pip install {package}` brings it",
            name=error.name,
        ) from error


def _asked(
    spec: str,
    load: Callable[[], Any],
    expected: str,
    known: Callable[[], list[str]] = list,
) -> Any:
    """What a library loads; what it raises in one line, with names that are near."""
    try:
        return load()
    except Exception as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        name, names = spec.partition(":")[2], known()
        near = [] if name in names else difflib.get_close_matches(name, names, 4)
        raise EncoderError(
            f"{spec}: cannot be loaded ({type(error).__name__}: {said[:200]}); expected {expected}"
            + (f", such as {', '.join(near)}" if near else "")
        ) from error


def _frozen(model: nn.Module, device: torch.device | None) -> nn.Module:
    model = model.eval().requires_grad_(False)
    return model if device is None else model.to(device)


def _of_processor(processor: Any) -> ImageInput:
    """What an image processor of transformers does, but for its crop."""

    def told(name: str, otherwise: Any) -> Any:
        value = getattr(processor, name, None)
        return otherwise if value is None else value

    whole = told("crop_size" if told("do_center_crop", False) else "size", {})
    height, width, shortest = (
        whole.get(edge) if isinstance(whole, Mapping) else getattr(whole, edge, None)
        for edge in ("height", "width", "shortest_edge")
    )
    side = shortest or 224
    normalises = told("do_normalize", True)
    return ImageInput(
        (height or side, width or side),
        tuple(told("image_mean", IMAGENET_MEAN)) if normalises else (0.0,) * 3,
        tuple(told("image_std", IMAGENET_STD)) if normalises else (1.0,) * 3,
        _PIL_FILTERS.get(int(told("resample", 2)), "bicubic"),
    )
