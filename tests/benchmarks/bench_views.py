"""How many views a second: our batches against torchvision's transforms, image by image.

    python tests/benchmarks/bench_views.py [--images 256] [--threads 1] [--device cpu]

Both make two normalised float32 views of the same uint8 images of 32x32, with the same recipe
and probabilities. The reference is the usual pipeline of a data loader's worker process: a PIL
image, the transforms of torchvision.transforms.v2 one after another, the views stacked. Rounds
alternate, and the medians count, so that whatever else runs on the machine hits all alike.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torchvision
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

    def batched(apply: Callable[..., Tensor] = augmentation.apply) -> list[Tensor]:
        return [
            augmentation.normalise(
                apply(there, augmentation.draw_parameters(len(there), config, generator))
            )
            for _ in range(2)
        ]

    runs: dict[str, Callable[[], object]] = {"torchvision v2, PIL": one_by_one, "ours": batched}
    if compiled:
        compiled_apply = torch.compile(augmentation.apply, fullgraph=True)
        runs["ours, compiled"] = lambda: batched(compiled_apply)
    return runs


def seconds(run: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="images of a batch; two views each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)

    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((options.images, 3, 8, 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    images = (smooth * 255).to(torch.uint8)

    runs = contestants(images, options.device, not options.no_compile)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(2):  # compile, allocate
            seconds(run, options.device)
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, options.device))

    where = torch.cuda.get_device_name() if options.device == "cuda" else platform.machine()
    print(f"{2 * options.images} views of 32x32 a round, median of {options.rounds} rounds")
    print(f"{where}, {options.threads} thread(s)")
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    baseline = statistics.median(times["torchvision v2, PIL"])
    print(f"{'':22}{'ms a round':>12}{'views/s':>12}{'ratio':>8}")
    for name, values in times.items():
        median = statistics.median(values)
        rate = 2 * options.images / median
        print(f"{name:22}{median * 1e3:12.2f}{rate:12,.0f}{baseline / median:8.1f}")


if __name__ == "__main__":
    main()
