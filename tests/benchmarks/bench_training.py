"""How many images a second: our training step against lightly's recipe, on the same network.

    python tests/benchmarks/bench_training.py [--backbone res-5-64] [--steps 10] [--device cpu]

Both train VICReg with the same backbone, projector, batch, precision and kind of optimizer
(LARS), on the same uint8 images of 32x32 with the same recipe of views. lightly's way is that
of its documentation: its VICRegTransform on PIL images in the worker processes of a DataLoader,
a forward pass for each view, its VICRegLoss and its LARS. Rounds alternate and the medians
count, so that whatever else runs on the machine hits both alike. A round's clock starts when
its pipeline runs steadily (its loader's queue has been emptied once), and lightly's workers
are gone before ours begins.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import lightly
import numpy as np
import torch
from lightly.loss import VICRegLoss
from lightly.transforms import VICRegTransform
from lightly.utils.lars import LARS as LightlyLARS
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssl_companion.data import augmentation
from ssl_companion.data.hierarchy import CIFAR100
from ssl_companion.data.images import ImageSet, fingerprint
from ssl_companion.io.provenance import device_name
from ssl_companion.training.config import LoopConfig, RunConfig, pick_device
from ssl_companion.training.model import Learner
from ssl_companion.training.optim import parameter_groups
from ssl_companion.training.runtime import autocast, computed
from ssl_companion.training.trainer import Trainer

EPOCH = 50_000  # images of CIFAR-100
PREFETCH = 2  # batches that each of lightly's workers makes ahead, DataLoader's default

Round = Callable[[int], float]


def smooth_images(n: int) -> ImageSet:
    """Pictures with soft edges; what is in them changes no time."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((n, 3, 8, 8), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear")
    pixels = (smooth * 255).to(torch.uint8).numpy()
    fine = np.arange(n, dtype=np.int64) % 100
    files = np.array([f"{i}.png" for i in range(n)])
    known = fingerprint(pixels, fine)
    return ImageSet("smooth noise", "train", fine, files, known, CIFAR100, images=pixels)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ours(config: RunConfig, images: ImageSet, device: torch.device) -> Round:
    """Rounds of our own step; state carries over from one to the next."""
    trainer = Trainer(config, images, LoopConfig(device=device, progress=False))

    def run(steps: int) -> float:
        # The first round compiles, and CUDA graphs are recorded in the second and third step.
        for _ in range(1 if trainer.step else 4):
            trainer.train_step()
        wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            trainer.train_step()
        wait(device)
        seconds = time.perf_counter() - start
        trainer.check()
        return seconds

    return run


class Pictures(Dataset[list[Tensor]]):
    """Both views of an image, made by lightly's transform with our recipe."""

    def __init__(self, images: ImageSet, config: augmentation.ViewConfig) -> None:
        self.pixels = np.ascontiguousarray(images.images.transpose(0, 2, 3, 1))
        self.transform = VICRegTransform(
            input_size=32,
            cj_prob=config.jitter,
            cj_strength=config.strength,
            cj_bright=config.brightness,
            cj_contrast=config.contrast,
            cj_sat=config.saturation,
            cj_hue=config.hue,
            min_scale=config.scale[0],
            random_gray_scale=config.grey,
            solarize_prob=config.solarise,
            gaussian_blur=0.0,
            hf_prob=config.flip,
            normalize={"mean": list(augmentation.CIFAR_MEAN), "std": list(augmentation.CIFAR_STD)},
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> list[Tensor]:
        both: list[Tensor] = self.transform(Image.fromarray(self.pixels[index]))
        return both


def forever(loader: DataLoader[list[Tensor]]) -> Iterator[list[Tensor]]:
    return itertools.chain.from_iterable(itertools.repeat(loader))


def lightlys(config: RunConfig, images: ImageSet, device: torch.device, workers: int) -> Round:
    """Rounds of lightly's recipe."""
    learner = Learner(config).to(device).train()
    groups = parameter_groups(learner, config.optim.weight_decay)
    for group in groups:
        del group["adapt"]  # lightly's LARS adapts what decays, which is the same group
    optim = config.optim
    optimizer = LightlyLARS(
        groups, lr=optim.lr, momentum=optim.momentum, trust_coefficient=optim.eta
    )
    criterion = VICRegLoss()

    def step(batch: list[Tensor]) -> None:
        first, second = (view.to(device, non_blocking=True) for view in batch)
        with autocast(config.precision, device):
            (z1,), (z2,) = learner(first), learner(second)
        loss = criterion(z1.float(), z2.float())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def run(steps: int) -> float:
        batches = forever(
            DataLoader(
                Pictures(images, config.views),
                batch_size=config.batch,
                shuffle=True,
                drop_last=True,
                num_workers=workers,
                pin_memory=device.type == "cuda",
            )
        )
        for _ in range(workers * PREFETCH + 1):
            step(next(batches))
        wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            step(next(batches))
        wait(device)
        return time.perf_counter() - start  # and the workers end with their iterator

    return run


def report(times: dict[str, list[float]], images_in_a_round: int, epochs: bool) -> None:
    """A line for each contestant, and the ratio."""
    rates = {name: images_in_a_round / statistics.median(t) for name, t in times.items()}
    for name, rate in rates.items():
        low, high = images_in_a_round / max(times[name]), images_in_a_round / min(times[name])
        epoch = f"   {EPOCH / rate:8.2f} s for {EPOCH:,} images" if epochs else ""
        print(f"{name:10}{rate:12,.1f} images/s   ({low:,.1f} to {high:,.1f}){epoch}")
    print(f"ratio     {rates['ours'] / rates['lightly']:12.2f}")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="res-5-64")
    parser.add_argument("--projector-width", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6, help="timed steps of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 is torch's choice")
    parser.add_argument("--workers", type=int, default=2, help="of lightly's DataLoader")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    config = RunConfig(
        backbone=options.backbone,
        projector_width=options.projector_width,
        batch=options.batch,
        precision=options.precision,
        epochs=1000,
    )
    images = smooth_images(max(options.images, options.batch))
    print(
        f"VICReg, {config.backbone}, projector {config.projector_width}, batch {config.batch}, "
        f"{computed(config.precision, device)}; {device_name(device)}; {options.workers} workers; "
        f"torch {torch.__version__}, lightly {lightly.__version__}; "
        f"{options.rounds} rounds of {options.steps} steps",
        flush=True,
    )
    contestants: dict[str, Round] = {
        "ours": ours(config, images, device),
        "lightly": lightlys(config, images, device, options.workers),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    peaks: dict[str, int] = {}
    for _ in range(options.rounds):
        for name, run in contestants.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            times[name].append(run(options.steps))
            if device.type == "cuda":
                peaks[name] = torch.cuda.max_memory_allocated(device)
    report(times, options.steps * options.batch, epochs=device.type == "cuda")
    for name, peak in peaks.items():
        print(f"peak memory in {name}'s rounds: {peak / 2**30:.2f} GiB (both networks are there)")


if __name__ == "__main__":
    main()
