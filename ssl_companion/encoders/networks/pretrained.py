"""`pretrained(name)`: a network of the book's recordings, ready to encode images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_companion.data.augmentation import CIFAR_MEAN, CIFAR_STD, normalise
from ssl_companion.encoders.networks import known
from ssl_companion.encoders.networks.known import pretrained_name as pretrained_name
from ssl_companion.recordings import Recording, RecordingError, recordings_root
from ssl_companion.recordings.format import RUN, WEIGHTS
from ssl_companion.recordings.opening import ROOT_VARIABLE
from ssl_companion.training.backbones import Backbone


class Pretrained(Backbone):
    """A trained network, frozen and in evaluation mode; `forward` gives the vectors of one layer.

    To train it further: `encoder.requires_grad_(True).train()`.

    Example:
        >>> from ssl_companion.training.backbones import make_backbone
        >>> encoder = Pretrained(make_backbone("res-2-8", seed=0), layer="block2")
        >>> encoder(encoder.preprocess(np.zeros((4, 3, 64, 48), np.uint8))).shape
        torch.Size([4, 8])

    Attributes:
        layers: names of its layers, first to last.
        layer: the one whose vectors [N, D] `forward` returns, for normalised images
            [N, 3, 32, 32].
        width: their dimension D.
        size: height and width of the images that it was trained on, 32.
        mean: of each channel in [0, 1]; images are normalised with it.
        std: standard deviation of each channel, likewise.
    """

    size = 32
    mean = CIFAR_MEAN
    std = CIFAR_STD

    def __init__(self, network: Backbone, layer: str) -> None:
        super().__init__()
        self.network = network
        self.layers, self.layer, self.width = network.layers, layer, network.width
        self.eval().requires_grad_(False)

    def preprocess(self, images: np.ndarray | Tensor) -> Tensor:
        """What `forward` takes, of images of any size: resized, scaled and normalised.

        Args:
            images: uint8 [N, 3, H, W]. Those that are not 32 x 32 become so, by bilinear
                interpolation with antialiasing, and are squashed if they are not square.

        Returns:
            float32 [N, 3, 32, 32] on the network's device.

        Raises:
            ValueError: another type or shape.
        """
        x = torch.from_numpy(images.copy()) if isinstance(images, np.ndarray) else images
        if x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] != 3:
            kind = str(x.dtype).removeprefix("torch.")
            raise ValueError(
                f"images: {kind} of shape {tuple(x.shape)}; expected uint8 (0 to 255) of shape "
                "[N, 3, H, W]; floats go to the network as they are, once "
                "`augmentation.normalise` has seen them"
            )
        x = x.to(next(self.parameters()).device).float() / 255
        if x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        return normalise(x, self.mean, self.std)

    def features(self, x: Tensor) -> dict[str, Tensor]:
        return self.network.features(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)[self.layer]


def pretrained(
    name: str,
    *,
    layer: str | None = None,
    device: torch.device | str = "cpu",
    root: str | Path | None = None,
) -> Pretrained:
    """A trained network by its name, frozen and in evaluation mode.

    It takes normalised images: `encoder(encoder.preprocess(images))` for bytes of any size.
    `measure_encoder(encoder, images, labels)` normalises by itself; where the images are not
    32 x 32, give it `preprocess=encoder.preprocess` too.

    Example:
        >>> encoder = pretrained("vicreg-res5-250")  # doctest: +SKIP
        >>> encoder.layer, encoder.width  # the recording may be absent # doctest: +SKIP
        ('block5', 250)

    Args:
        name: "vicreg-res5-250": VICReg on CIFAR-100; its model card is a page of the book.
        layer: whose vectors it returns: "stem", "block1", ... "block5"; by default the last.
        device: where it will be.
        root: the folder of recordings; by default SSL_COMPANION_RECORDINGS or the checkout's.

    Raises:
        ValueError: an unknown name or layer.
        RecordingError: there are no recordings, or the weights are damaged or others.
    """
    if name not in known.NETWORKS:
        names = ", ".join(known.NETWORKS)
        raise ValueError(f"name: {name!r}; expected one of {names}")
    wanted = known.NETWORKS[name]
    folder = recordings_root(root) / wanted.recording
    if not (folder / RUN).exists():
        raise RecordingError(
            f"{folder}: there is no such recording, and {name!r} is its network; recordings come "
            "with a clone of the repository and not with the installed package: give the clone's "
            f"folder book/recordings as `root`, or in the variable {ROOT_VARIABLE}"
        )
    recording = Recording(folder)
    if layer is not None and layer not in recording.layers:
        raise ValueError(f"layer: {layer!r}; expected one of {', '.join(recording.layers)}")
    if recording.weights_digest != wanted.sha256:
        raise RecordingError(
            f"{folder / WEIGHTS}: has SHA-256 {recording.weights_digest} by its {RUN}, and "
            f"{name!r} has {wanted.sha256}; restore the folder from the repository, or use "
            "another's network by `open_recording(path).backbone()`"
        )
    return Pretrained(recording.backbone(device), layer or recording.layers[-1])
