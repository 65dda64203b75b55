"""What a trained encoder is held against: the pixels, whitened pixels, an untrained network."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from ssl_companion.encoders.networks.known import NETWORKS
from ssl_companion.encoders.networks.named import ImageInput, NamedEncoder, named
from ssl_companion.encoders.running.runner import ImageBatches
from ssl_companion.measures import _checks
from ssl_companion.training.backbones import make_backbone

#: The architecture of the network that comes with the book, and the dimensions of its features.
BACKBONE = next(iter(NETWORKS.values())).backbone
COMPONENTS_OF_PIXELS = 250
#: What a network of the book sees, bytes normalised as it was trained, floats as they are.
SMALL_IMAGES = ImageInput((32, 32), floats=True)

_FOR_STATISTICS, _BATCH = 2560, 256  # images that batch normalisation sees
_FOR_COMPONENTS = 10_000  # images that principal components are of


def pixel_baseline() -> NamedEncoder:
    """The normalised pixels themselves, of images of 32 x 32, as a vector of 3,072.

    Example:
        >>> pixels = pixel_baseline()
        >>> pixels.encoder(pixels.preprocess(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))).shape
        torch.Size([2, 3072])
    """
    return named("pixels", nn.Flatten(), SMALL_IMAGES, kind="pixels")


def whitened_pixel_baseline(
    images: ImageBatches | None,
    components: int = COMPONENTS_OF_PIXELS,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> NamedEncoder:
    """Principal components of the pixels, each scaled to variance one.

    A strong linear guess without labels and without training: what a network learns begins above
    it. The components are scikit-learn's PCA of the training images, of 10,000 at random where
    there are more.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
        >>> whitened = whitened_pixel_baseline(images, 20)
        >>> x = whitened.encoder(whitened.preprocess(torch.from_numpy(images)))
        >>> bool(torch.allclose(x.T.cov(), torch.eye(20), atol=1e-3))
        True

    Args:
        images: the training images, see `Runner`.
        components: as many as the encoder beside it has dimensions make it a fair comparison.
            Fewer where there are fewer images, or fewer directions in which they differ.
        seed: of the images that are looked at.
        device: where it will be.

    Raises:
        ValueError: no images, or a number of components that is none.
    """
    from sklearn.decomposition import PCA

    components = _checks.at_least(components, 1, "components")
    x = _some(images, _FOR_COMPONENTS, seed, "whitened-pixels").flatten(1)
    # With as many components as images, all of these would be equally far from one another.
    most = min(components, len(x) // 2, x.shape[1])
    if most < 1:
        raise ValueError("images: a single one; expected two or more, which differ")
    solver = "covariance_eigh" if len(x) > x.shape[1] else "full"
    fitted = PCA(most, svd_solver=solver).fit(x.double().numpy())
    variance = fitted.explained_variance_
    some = variance > 1e-9 * variance[0]  # of a constant border there is nothing to scale
    linear = nn.Linear(x.shape[1], int(some.sum()))
    weight = fitted.components_[some] / np.sqrt(variance[some])[:, None]
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight))
        linear.bias.copy_(torch.from_numpy(-weight @ fitted.mean_))
    encoder = nn.Sequential(nn.Flatten(), linear).to(device or "cpu").requires_grad_(False)
    return named(
        "whitened pixels", encoder, SMALL_IMAGES, kind="whitened pixels",
        components=len(linear.weight), fitted_on=f"{len(x):,} training images",
    )  # fmt: skip


def untrained_baseline(
    backbone: str = BACKBONE,
    images: ImageBatches | None = None,
    *,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> NamedEncoder:
    """A network with random weights, its batch normalisation settled on the images.

    Without statistics of the images it would be measured worse than it is: see
    `training.extract.recalibrate_batchnorm`.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
        >>> untrained_baseline("res-2-8", images).name
        'untrained res-2-8'

    Args:
        backbone: of `training.backbones.make_backbone`.
        images: the training images, see `Runner`; a network without batch normalisation needs
            none.
        seed: of the weights, and of the 2,560 images that are looked at.
        device: where it will be.

    Raises:
        ValueError: an unknown architecture, or no images.
    """
    network = make_backbone(backbone, seed=seed).to(device or "cpu")
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules()):
        x = _some(images, _FOR_STATISTICS, seed, "random").to(device or "cpu")
        parts = x.chunk(math.ceil(len(x) / _BATCH))  # none of a single image
        update_bn(parts, network)
    network.eval().requires_grad_(False)
    return named(
        f"untrained {backbone}",
        network,
        SMALL_IMAGES,
        kind="untrained",
        backbone=backbone,
        seed=seed,
    )


def _some(images: ImageBatches | None, n: int, seed: int, spec: str) -> Tensor:
    """Up to n images at random as `SMALL_IMAGES` makes them, float32 [n, 3, 32, 32]; of a stream
    without holding more of it."""
    rng = np.random.default_rng(seed)
    if images is None:
        raise ValueError(f"images: None; expected the training images, which {spec!r} looks at")
    if isinstance(images, np.ndarray | Tensor):
        rows = np.sort(rng.permutation(len(images))[:n])
        parts = np.array_split(rows, math.ceil(len(rows) / _BATCH)) if len(rows) else []
        kept = [SMALL_IMAGES(_checks.as_tensor(images[part], "images")) for part in parts]
    else:
        kept, seen = [], 0
        for batch in images:  # algorithm R (Vitter 1985, doi.org/10.1145/3147.3165)
            for image in _checks.as_tensor(batch, "images"):
                place = seen if seen < n else int(rng.integers(seen + 1))
                if place < n:
                    kept[place : place + 1] = [SMALL_IMAGES(image[None])]
                seen += 1
    if not kept or not len(kept[0]):
        raise ValueError(f"images: none at all; expected training images, which {spec!r} looks at")
    return torch.cat(kept)
