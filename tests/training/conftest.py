"""Tiny runs: images of noise, a network of 8 channels, a fraction of a second for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.images import ImageSet
from ssl_companion.training.config import LoopConfig, ObjectiveConfig, RunConfig
from ssl_companion.training.run import train
from ssl_companion.training.trainer import Trainer

from . import tiny as tiny_module

Make = Callable[..., Any]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
STILL = ViewConfig(scale=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=0, solarise=0)
OBJECTIVES = ("vicreg", "simclr", "barlow_twins", "byol", "supervised")


@pytest.fixture(scope="session")
def noise_images() -> Make:
    return tiny_module.noise_images


@pytest.fixture(scope="session")
def images(noise_images: Make) -> ImageSet:
    return noise_images()


@pytest.fixture(scope="session")
def tiny() -> Make:
    return tiny_module.tiny_config


@pytest.fixture(scope="session")
def quiet() -> Make:
    """quiet(**fields): a loop on the CPU without a progress bar."""

    def make(**fields: Any) -> LoopConfig:
        return LoopConfig(**({"device": "cpu", "progress": False} | fields))

    return make


@pytest.fixture(scope="session")
def split(tiny: Make, quiet: Make) -> Make:
    """split(config, **fields): the configuration and the loop that the fields are of."""
    own = {f.name for f in dataclasses.fields(LoopConfig)}

    def make(config: RunConfig | ObjectiveConfig | str, **fields: Any) -> tuple[Any, Any]:
        loop = quiet(**{key: fields.pop(key) for key in own & fields.keys()})
        return config if isinstance(config, RunConfig) else tiny(config, **fields), loop

    return make


@pytest.fixture(scope="session")
def new_trainer(split: Make, images: ImageSet) -> Make:
    """new_trainer(config, **fields): a run in memory; fields of its configuration and its loop."""

    def make(
        config: RunConfig | ObjectiveConfig | str = "vicreg",
        images: ImageSet = images,
        folder: Path | None = None,
        on_epoch: Callable[[Trainer, int], None] | None = None,
        kind: type[Trainer] = Trainer,
        **fields: Any,
    ) -> Trainer:
        config, loop = split(config, **fields)
        return kind(config, images, loop, folder, on_epoch)

    return make


@pytest.fixture(scope="session")
def trained(split: Make, images: ImageSet) -> Make:
    """trained(folder, config, **fields): train there; whether the run is complete."""

    def make(
        folder: Path,
        config: RunConfig | ObjectiveConfig | str = "vicreg",
        images: ImageSet = images,
        at: tuple[int, ...] = (),
        steps: tuple[int, ...] = (),
        **fields: Any,
    ) -> bool:
        config, loop = split(config, **fields)
        return train(config, images, folder, loop, epochs=at, steps=steps)

    return make


def outcome(trainer: Trainer) -> dict[str, Any]:
    """All that a run leaves in memory, but for the time that it took."""
    state = trainer.state()
    del state["seconds"], state["random"]
    state["history"] = [{k: v for k, v in r.items() if k != "seconds"} for r in state["history"]]
    return state


def after(trainer: Trainer, steps: int) -> dict[str, Any]:
    """What so many steps leave, checked to be finite."""
    for _ in range(steps):
        trainer.train_step()
    trainer.check()
    state = trainer.state()
    return {key: state[key] for key in ("terms", "learner", "teacher", "optimizer")}


def assert_same_bits(a: Any, b: Any, where: str = "") -> None:
    """The same types, values and, of tensors, order in memory, all the way down."""
    assert type(a) is type(b), where
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, where
        assert a.stride() == b.stride(), where  # sums run in the order of memory
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same_bits(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same_bits(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


def assert_same_snapshots(a: Path, b: Path) -> None:
    """The same files of the same bytes in two runs' folders."""
    # A process killed while it writes one leaves a hidden file behind.
    names, others = (
        sorted(path.name for path in (folder / "snapshots").iterdir() if path.name[0] != ".")
        for folder in (a, b)
    )
    assert names == others
    assert {Path(name).suffix for name in names} == {".safetensors"}
    for name in names:
        first, second = (folder / "snapshots" / name for folder in (a, b))
        assert first.read_bytes() == second.read_bytes(), name
