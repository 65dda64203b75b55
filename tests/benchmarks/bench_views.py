"""Views: our batches beside kornia's, and beside torchvision's transforms, image by image.

    python tests/benchmarks/bench_views.py [--images 256] [--threads 1] [--device cpu]

All make two normalised float32 views of the same uint8 images of 32x32, with the same recipe and
probabilities. torchvision stands for the usual pipeline of a data loader's worker process: a PIL
image, the transforms of torchvision.transforms.v2 one after another, the views stacked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import kornia.augmentation as kornia
import numpy as np
import torch
from contest import OURS, Results, seconds_of
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from ssl_companion.data import augmentation


def torchvision_pipeline(config: augmentation.ViewConfig) -> v2.Compose:
    """The recipe of `config` as transforms of one PIL image."""
    jitters = (config.brightness, config.contrast, config.saturation, config.hue)
    amounts = [amount * config.strength for amount in jitters]
    return v2.Compose(
        [
            v2.RandomResizedCrop(32, scale=config.scale, ratio=config.ratio),
            v2.RandomHorizontalFlip(config.flip),
            v2.RandomApply(
                [v2.ColorJitter(*(a * config.strength for a in amounts))], config.jitter
            ),
            v2.RandomGrayscale(config.grey),
            v2.RandomSolarize(128, config.solarise),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(augmentation.CIFAR_MEAN, augmentation.CIFAR_STD),
        ]
    )


def kornia_pipeline(config: augmentation.ViewConfig) -> kornia.AugmentationSequential:
    """The same of batches of floats from 0 to 1."""
    jitters = (config.brightness, config.contrast, config.saturation, config.hue)
    return kornia.AugmentationSequential(
        kornia.RandomResizedCrop((32, 32), scale=config.scale, ratio=config.ratio),
        kornia.RandomHorizontalFlip(p=config.flip),
        kornia.ColorJitter(*(a * config.strength for a in jitters), p=config.jitter),
        kornia.RandomGrayscale(p=config.grey),
        kornia.RandomSolarize(0.0, 0.0, p=config.solarise),  # at 0.5, as 128 is of 256
        kornia.Normalize(augmentation.CIFAR_MEAN, augmentation.CIFAR_STD),
    )


def contestants(images: Tensor, device: str, compiled: bool) -> dict[str, Callable[[], object]]:
    """Each makes two views of all the images."""
    config = augmentation.ViewConfig()
    pipeline = torchvision_pipeline(config)
    pictures = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images]

    def one_by_one() -> list[Tensor]:
        return [
            torch.stack([pipeline(Image.fromarray(picture)) for picture in pictures])
            for _ in range(2)
        ]

    there = images.to(device)
    generator = torch.Generator(device).manual_seed(0)
    whole = kornia_pipeline(config).to(device)

    def by_kornia() -> list[Tensor]:
        return [whole(there.float() / 255) for _ in range(2)]

    def batched(apply: Callable[..., Tensor] = augmentation.apply) -> list[Tensor]:
        return [
            augmentation.normalise(
                apply(there, augmentation.draw_parameters(len(there), config, generator))
            )
            for _ in range(2)
        ]

    runs: dict[str, Callable[[], object]] = {
        OURS: batched, "kornia": by_kornia, "torchvision": one_by_one,
    }  # fmt: skip
    if compiled:
        compiled_apply = torch.compile(augmentation.apply, fullgraph=True)
        runs["ours, compiled"] = lambda: batched(compiled_apply)
    return runs


def main(arguments: list[str] | None = None, results: Results | None = None) -> Results:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="images of a batch; two views each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--compile", action="store_true", help="ours by torch.compile, too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((options.images, 3, 8, 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    images = (smooth * 255).to(torch.uint8)

    results = Results() if results is None else results
    runs = contestants(images, options.device, options.compile)
    where = "" if options.device == "cpu" else f", {torch.cuda.get_device_name()}"
    task = f"views of {options.images} images{where}"
    results.add(task, seconds_of(runs, options.rounds, options.device))
    return results


if __name__ == "__main__":
    print(main().summary())
