"""A training step: ours beside lightly's recipe, and beside kornia's views with lightly's loss.

    python tests/benchmarks/bench_training.py [--backbone res-5-64] [--steps 10] [--device cpu]

All train VICReg with the same backbone, projector, batch, precision and kind of optimizer (LARS),
on the same uint8 images of 32x32 with the same recipe of views. lightly's way is that of its
documentation: its VICRegTransform on PIL images in a DataLoader (with worker processes on a GPU),
a forward pass for each view, its VICRegLoss and its LARS; kornia's makes the views in batches on
the device. A round begins when its pipeline runs steadily (its loader's queue has been emptied
once), and lightly's workers are gone before the next one's round. The line has the time of each of
the others over ours: of the processor on a CPU, by the clock on a GPU, for which seconds are
printed, too: of a step, and of what the host has to do for it. Then the arithmetic of our network,
as a share of what large matrix products reach on the device.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from bench_views import kornia_pipeline
from contest import OURS, Results
from lightly.loss import VICRegLoss
from lightly.transforms import VICRegTransform
from lightly.utils.lars import LARS as LightlyLARS
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

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
Step = Callable[[Tensor, Tensor], None]


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


def clock(device: torch.device) -> float:
    """Seconds, once the device has done all that it was given."""
    wait(device)
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def ours(config: RunConfig, images: ImageSet, device: torch.device, host: list[float]) -> Round:
    """Rounds of our own step; state carries over from one to the next.

    Args:
        host: seconds of a step until the host has done its part are added here, round by round.
    """
    trainer = Trainer(config, images, LoopConfig(device=device, progress=False))

    def run(steps: int) -> float:
        # The first round compiles, and CUDA graphs are recorded in the second and third step.
        for _ in range(1 if trainer.step else 4):
            trainer.train_step()
        start = clock(device)
        begun = time.perf_counter()
        for _ in range(steps):
            trainer.train_step()
        host.append((time.perf_counter() - begun) / steps)
        seconds = clock(device) - start
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


def lightlys_step(config: RunConfig, device: torch.device) -> Step:
    """A step on both views of a batch, with lightly's loss and its LARS."""
    learner = Learner(config).to(device).train()
    groups = parameter_groups(learner, config.optim.weight_decay)
    for group in groups:
        del group["adapt"]  # lightly's LARS adapts what decays, which is the same group
    optim = config.optim
    optimizer = LightlyLARS(
        groups, lr=optim.lr, momentum=optim.momentum, trust_coefficient=optim.eta
    )
    criterion = VICRegLoss()

    def step(first: Tensor, second: Tensor) -> None:
        with autocast(config.precision, device):
            (z1,), (z2,) = learner(first), learner(second)
        loss = criterion(z1.float(), z2.float())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def lightlys(config: RunConfig, images: ImageSet, device: torch.device, workers: int) -> Round:
    """Rounds of lightly's recipe."""
    step = lightlys_step(config, device)

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

        def next_step() -> None:
            step(*(view.to(device, non_blocking=True) for view in next(batches)))

        for _ in range(workers * PREFETCH + 1):
            next_step()
        start = clock(device)
        for _ in range(steps):
            next_step()
        return clock(device) - start  # and the workers end with their iterator

    return run


def kornias(config: RunConfig, images: ImageSet, device: torch.device) -> Round:
    """Rounds of views made by kornia in batches on the device, and lightly's step."""
    step, views = lightlys_step(config, device), kornia_pipeline(config.views).to(device)
    there = torch.from_numpy(images.images.copy()).to(device)

    def next_step() -> None:
        rows = torch.randint(len(there), (config.batch,), device=device)
        batch = there[rows].float() / 255
        with torch.no_grad():
            pair = views(batch), views(batch)
        step(*pair)

    def run(steps: int) -> float:
        next_step()
        start = clock(device)
        for _ in range(steps):
            next_step()
        return clock(device) - start

    return run


def arithmetic(config: RunConfig, device: torch.device) -> int:
    """Operations (a product and a sum are two) of a step's network, forward and back."""
    learner = Learner(config).to(device).train()
    views = torch.randn(2 * config.batch, 3, 32, 32, device=device)
    with FlopCounterMode(display=False) as counter, autocast(config.precision, device):
        (z,) = learner(views)
        z.float().sum().backward()
    return int(counter.get_total_flops())


def matrix_rate(precision: str, device: torch.device) -> float:
    """Operations a second of a product of large matrices."""
    n = 8192 if device.type == "cuda" else 1024
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(n, n, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(5):
        start = clock(device)
        a @ b
        seconds.append(clock(device) - start)
    return 2 * n**3 / min(seconds)


def main(arguments: list[str] | None = None, results: Results | None = None) -> Results:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="", help="res-5-250 on CUDA, else res-5-32")
    parser.add_argument("--projector-width", type=int, default=0, help="2048 on CUDA, else 256")
    parser.add_argument("--batch", type=int, default=0, help="256 on CUDA, else 128")
    parser.add_argument("--steps", type=int, default=0, help="of a round; 50 on CUDA, else 6")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", nargs="*", choices=["fp32", "bf16"],
                        default=["fp32", "bf16"])  # fmt: skip
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--workers", type=int, default=-1, help="of lightly's; 8 on CUDA, else 0")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    results = Results() if results is None else results
    # A CPU without instructions for bf16 computes in fp32.
    kinds = {computed(precision, device): precision for precision in options.precision}
    for precision in kinds.values():
        compare(options, precision, device, results)
    return results


def compare(
    options: argparse.Namespace, precision: str, device: torch.device, results: Results
) -> None:
    """One precision."""
    cuda = device.type == "cuda"
    config = RunConfig(
        backbone=options.backbone or ("res-5-250" if cuda else "res-5-32"),
        projector_width=options.projector_width or (2048 if cuda else 256),
        batch=options.batch or (256 if cuda else 128),
        precision=precision,  # type: ignore[arg-type]
        epochs=1000,
    )
    steps = options.steps or (50 if cuda else 6)
    workers = options.workers if options.workers >= 0 else 8 * cuda
    images = smooth_images(max(options.images, config.batch))
    host: list[float] = []
    contestants: dict[str, Round] = {
        OURS: ours(config, images, device, host),
        "lightly": lightlys(config, images, device, workers),
        "kornia": kornias(config, images, device),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    peaks: dict[str, int] = {}
    for _ in range(options.rounds):
        for name, run in contestants.items():
            if cuda:
                torch.cuda.reset_peak_memory_stats(device)
            times[name].append(run(steps))
            if cuda:
                peaks[name] = torch.cuda.max_memory_allocated(device)
    kind = computed(config.precision, device)
    results.add(f"step {config.backbone}, {config.batch}, {kind}", times)
    step = statistics.median(times[OURS]) / steps
    share = arithmetic(config, device) / step / matrix_rate(kind, device)
    print(f"{'  share of the matrix rate':34}{share:.0%}")
    if cuda:
        report(config, device, step, statistics.median(host), peaks)


def report(
    config: RunConfig, device: torch.device, step: float, host: float, peaks: dict[str, int]
) -> None:
    """What only a GPU's numbers say: absolute times and memory."""
    print(f"  on {device_name(device)}, all networks in its memory:")
    print(f"  a step {step * 1e3:.2f} ms, of which the host is busy {host * 1e3:.2f} ms;"
          f" {config.batch / step:,.0f} images a second; {EPOCH / config.batch * step:.2f} s for"
          f" {EPOCH:,} images")  # fmt: skip
    for name, peak in peaks.items():
        print(f"  peak memory in the rounds of {name}: {peak / 2**30:.2f} GiB")


if __name__ == "__main__":
    print(main().summary())
