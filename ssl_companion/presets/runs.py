"""What a preset is made of: runs, in words and as commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from ssl_companion.recordings import MeasureConfig
from ssl_companion.recordings.wording import join_title
from ssl_companion.training.config import RunConfig

Scale = Literal["full", "reduced"]
SCALES: tuple[Scale, ...] = get_args(Scale)
DataName = Literal["cifar100", "glyphs100"]
DATA_NAMES: tuple[DataName, ...] = get_args(DataName)

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")

OBJECTIVE_TITLES = {
    "vicreg": "VICReg",
    "simclr": "SimCLR",
    "barlow_twins": "Barlow Twins",
    "byol": "BYOL",
    "supervised": "Supervised",
}
OPTIMIZER_TITLES = {"lars": "LARS", "sgd": "SGD", "adamw": "AdamW"}


@dataclass(frozen=True)
class Run:
    """One run of a preset.

    Attributes:
        name: of the recording, "<preset>-<variant>-s<seed>", the same at both scales.
        variant: plain words for tables, what differs from the recipe.
        config: what is trained.
        measure: what is measured and kept.
        snapshots: epochs after which it is measured.
        steps: training steps after which it is looked at besides, in its first epochs.
        scale: of the preset; empty for a run by hand.
        teacher: the run whose recording `measure.against` has to be; None: any by that name.
    """

    name: str
    variant: str
    config: RunConfig
    measure: MeasureConfig
    snapshots: tuple[int, ...]
    scale: Scale | Literal[""] = ""
    teacher: Run | None = None
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name: {self.name!r}; expected a folder's name of letters, digits, '.', '-' and "
                "'_', a letter or digit first"
            )

    @property
    def title(self) -> str:
        """What the recording is, in words."""
        return join_title(describe_config(self.config), self.variant)

    @property
    def preset(self) -> str:
        """The preset's name, if it is of one."""
        return self.name.partition("-")[0]

    @property
    def command(self) -> str:
        """The command that records it, if it is a preset's."""
        words = f"ssl-companion record {self.preset} --only {self.name} --scale {self.scale}"
        return words if self.config.data == "cifar100" else f"{words} --data {self.config.data}"

    def folder(self, root: str | Path) -> Path:
        """Where it is trained under `root`: what is unfinished of it, its snapshots."""
        return Path(root) / f"{self.name}-{self.config.digest()[:8]}"

    def on(self, data: DataName) -> Run:
        """The same run, and its teacher, on another data set."""
        teacher = None if self.teacher is None else self.teacher.on(data)
        return replace(self, config=replace(self.config, data=data), teacher=teacher)


@dataclass(frozen=True)
class Preset:
    """The runs of one finding, and how they were chosen."""

    name: str
    why: str
    runs: tuple[Run, ...]


def describe_config(config: RunConfig) -> str:
    """A configuration in words: objective, backbone, data, images, epochs, seed."""
    data = {"cifar100": "CIFAR-100", "glyphs100": "Glyphs-100 (stand-in)"}[config.data]
    part = f", {config.images_per_class} images per class" if config.images_per_class else ""
    part += " without the classes held out" if config.held_out else ""
    return (
        f"{OBJECTIVE_TITLES[config.objective.name]}, {backbone_title(config.backbone)}, "
        f"{data}{part}, {config.epochs} epoch{'s' * (config.epochs != 1)}, seed {config.seed}"
    )


def backbone_title(name: str) -> str:
    """A backbone as text names it; any other name as it is.

    Example:
        >>> backbone_title("res-5-250"), backbone_title("vit-4-64"), backbone_title("resnet18-16")
        ('RES-5-250', 'ViT-4-64', 'ResNet-18 of width 16')
    """
    kind, _, size = name.partition("-")
    if kind == "resnet18":
        return f"ResNet-18 of width {size}" if size else "ResNet-18"
    kinds = {"res": "RES", "vit": "ViT"}
    return f"{kinds[kind]}-{size}" if kind in kinds else name


def teachers_first(runs: Sequence[Run]) -> list[Run]:
    """The same runs, those in front that others of them are measured against."""
    teachers = {run.measure.against for run in runs}
    return sorted(runs, key=lambda run: run.name not in teachers)
