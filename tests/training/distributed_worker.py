"""One process of several: computes its share, and puts down what the tests compare.

    python distributed_worker.py FOLDER
    torchrun --standalone --nproc-per-node 2 distributed_worker.py FOLDER
    torchrun --standalone --nproc-per-node 2 distributed_worker.py FOLDER clocks

Losses and gradients are in float64, so that a wrong factor cannot hide in rounding.
"""

from __future__ import annotations

import functools
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny import noise_images, tiny_config
from torch import Tensor, nn

from ssl_companion.training.config import LoopConfig
from ssl_companion.training.distributed import (
    any_process,
    data_parallel,
    gather,
    largest,
    process_group,
    shard,
    synchronise_batch_norm,
    world,
)
from ssl_companion.training.model import Learner, Teacher, batch_loss
from ssl_companion.training.run import train

CPU = torch.device("cpu")
OBJECTIVES = ("vicreg", "simclr", "barlow_twins", "byol", "supervised")
BATCH, IMAGES = 8, noise_images(24)
config = functools.partial(tiny_config, batch=BATCH, projector_width=6)
LOOP = LoopConfig(device="cpu", progress=False, checkpoint_steps=2)


def my_views(step: int) -> Tensor:
    """This process's share of both views of a global batch of noise."""
    g = torch.Generator().manual_seed(100 + step)
    halves = torch.randn((2, BATCH, 3, 16, 16), generator=g, dtype=torch.float64)
    return torch.cat([shard(half) for half in halves])


def objective_steps(objective: str) -> dict[str, Any]:
    """Loss, terms and gradients of a whole learner, and its state after two plain steps."""
    settings = config(objective)
    learner = Learner(settings, classes=12).double()
    teacher = Teacher(learner) if objective == "byol" else None
    with torch.no_grad():
        for p in learner.parameters():  # a teacher equal to the student would hide its views
            p.add_(0.01)
    synchronise_batch_norm(learner, CPU)
    if teacher is not None:
        synchronise_batch_norm(teacher, CPU)
    network = data_parallel(learner)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.01)
    labels = shard(torch.arange(BATCH) % 12)
    found: dict[str, Any] = {}
    for step in range(2):
        x = my_views(step)
        target = teacher(x) if teacher is not None else None
        loss = batch_loss(network(x), settings, 0, labels, target)
        optimizer.zero_grad()
        loss.total.backward()
        if step == 0:
            found["total"] = loss.total.detach()
            found["terms"] = {name: term.detach() for name, term in loss.terms.items()}
            found["gradients"] = {
                name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None
            }
        optimizer.step()
    found["state"] = {name: value.clone() for name, value in learner.state_dict().items()}
    return found


def normalised(dtype: torch.dtype) -> dict[str, Any]:
    """A batch normalisation that is fed shares, trained and then evaluated."""
    layer: nn.Module = nn.Sequential(nn.BatchNorm2d(3).to(dtype))
    with torch.no_grad():
        layer[0].weight.copy_(torch.tensor([1.0, -2.0, 0.5]))
        layer[0].bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    layer = synchronise_batch_norm(layer, CPU)
    g = torch.Generator().manual_seed(0)
    outputs, inputs = [], []
    for _ in range(3):
        whole = torch.randn((BATCH, 3, 4, 4), generator=g, dtype=torch.float64) * 3 + 10
        weights = torch.randn((BATCH, 3, 4, 4), generator=g, dtype=torch.float64)
        x = shard(whole).to(dtype).clone().requires_grad_()
        y = layer(x)
        # A sum over all samples, as every process sees it.
        gather((y * shard(weights)).flatten(1)).sum().backward()
        outputs.append(gather(y.detach()))
        inputs.append(gather(x.grad) / world()[1])
    layer.eval()
    outputs.append(gather(layer(shard(whole).to(dtype)).detach()))
    gradients = [p.grad.clone() for p in layer.parameters()]
    if world()[1] > 1:
        for gradient in gradients:
            torch.distributed.all_reduce(gradient)
            gradient /= world()[1]
    return {
        "outputs": outputs,
        "inputs": inputs,
        "gradients": gradients,
        "state": dict(layer.state_dict()),
    }


def gathered() -> dict[str, Any]:
    """What `gather` and its gradient give for known numbers."""
    rank, size = world()
    x = (torch.arange(4.0, dtype=torch.float64).view(2, 2) + 10 * rank).requires_grad_()
    whole = gather(x)
    # Every process weights the rows differently: the gradient is the sum of their weights.
    (whole * (torch.arange(len(whole))[:, None] + 1) * (rank + 1)).sum().backward()
    integers = gather(torch.tensor([rank, 7]))
    votes = [any_process(rank == voter, CPU) for voter in range(size + 1)]
    return {"rank": rank, "whole": whole.detach(), "gradient": x.grad, "integers": integers,
            "votes": votes, "largest": largest([rank, -rank, 0.3], CPU)}  # fmt: skip


def runs(folder: Path) -> None:
    """A whole run of every objective, in the group that is there."""
    for objective in OBJECTIVES:
        train(config(objective), IMAGES, folder / objective, LOOP)


def slices(folder: Path) -> None:
    """A run of which every call does one step, in a group of its own; and the same at once."""
    slow = config(name="sgd", lr=0.01)
    while not train(slow, IMAGES, folder / "slices", replace(LOOP, minutes=1e-9)):
        assert world() == (0, 1)  # the group was left
    train(slow, IMAGES, folder / "slices-whole", LOOP)


def clocks(folder: Path) -> dict[str, Any]:
    """A run that saves by the clock and is stopped by it; the second process's hardly runs."""
    written = count_files_written()
    real, speed = time.monotonic, (1, 1e-6)[int(os.environ["RANK"])]
    time.monotonic = lambda: speed * real()
    long = config("vicreg", epochs=1, batch=2)
    many = noise_images(
        240
    )  # 120 steps, and no vote that the end of an epoch asks for but the last
    hurried = LoopConfig(device="cpu", progress=False, checkpoint_minutes=0.0007)
    calls = [
        train(long, many, folder, replace(hurried, minutes=minutes)) for minutes in (1e-4, None)
    ]
    return {"calls": calls, "written": written}


def count_files_written() -> list[str]:
    """From now on, the paths of files that this process puts into place."""
    written: list[str] = []
    rename = os.replace

    def noted(source: Any, target: Any) -> None:
        written.append(str(target))
        rename(source, target)

    os.replace = noted  # the last act of writing a whole file
    return written


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if sys.argv[2:] == ["clocks"]:
        found = clocks(folder / "clocks")
        torch.save(found, folder / f"found-{os.environ['RANK']}.pt")
        return
    written = count_files_written()
    with process_group(CPU):
        rank = world()[0]
        found = {
            "world": world(),
            "gathered": gathered(),
            "normalised": {
                str(dtype): normalised(dtype) for dtype in (torch.float64, torch.float32)
            },
            "objectives": {name: objective_steps(name) for name in OBJECTIVES},
        }
        runs(folder)
    slices(folder)
    torch.save(found | {"written": written}, folder / f"found-{rank}.pt")


if __name__ == "__main__":
    main()
