"""What defines a run, whose defaults are the recipe; and how to run it, which no result depends on.

`RunConfig` (with `ObjectiveConfig`, and those of views and optimizer) has a digest that its files
are known by; `LoopConfig` has none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ssl_companion.data.view_config import ViewConfig
from ssl_companion.io.arguments import at_least

if TYPE_CHECKING:
    import torch

ObjectiveName = Literal["vicreg", "simclr", "barlow_twins", "byol", "supervised"]
Positives = Literal["own", "shuffled"]
LabelSource = Literal["own", "by lot"]

# Settings that came after the first recordings, and what they say where they ask for nothing: left
# out then, so that a run of before has the digest that it was recorded with.
_LATER: dict[str, Any] = {"held_out": False}
_LATER_OBJECTIVE: dict[str, Any] = {"positives": "own", "labels": "own"}


@dataclass(frozen=True)
class ObjectiveConfig:
    """An objective, as factors on the weights of its recipe (see `objectives`).

    A factor of a term that the objective does not have is ignored.

    Attributes:
        name: "vicreg", "simclr", "barlow_twins", "byol" or "supervised".
        invariance: factor on the invariance term: 1 is the recipe, 0 leaves it out; without
            effect on BYOL and the supervised control, which have no other term.
        regularizer: factor on all regularization terms together.
        variance: a further factor on VICReg's variance term.
        covariance: a further factor on VICReg's covariance term.
        temperature: SimCLR's.
        momentum: of BYOL's teacher at the start; rises to 1 along a half cosine.
        on_from: the first epoch, counted from 0, in which the regularizer is on; it is off
            (factor 0) before.
        on_until: the epoch before which it is switched off again; -1 means never.
        positives: whose second view meets an image's first one: its "own", or one of another
            image of the batch ("shuffled"). The latter is a control: both terms act, and there
            is nothing in common but what all images share, so no invariance to learn.
        labels: of the supervised objective: an image's "own", or those of the training images
            handed out again "by lot", one permutation for the whole run, so that classes keep
            their sizes. The latter is a control: what is learned is nothing but images by heart
            (Zhang et al., arXiv:1611.03530).
    """

    name: ObjectiveName = "vicreg"
    invariance: float = 1.0
    regularizer: float = 1.0
    variance: float = 1.0
    covariance: float = 1.0
    temperature: float = 0.2
    momentum: float = 0.99
    on_from: int = 0
    on_until: int = -1
    positives: Positives = "own"
    labels: LabelSource = "own"

    def __post_init__(self) -> None:
        if self.name not in get_args(ObjectiveName):
            raise ValueError(f"name: {self.name!r}; expected one of {get_args(ObjectiveName)}")
        for name in ("invariance", "regularizer", "variance", "covariance"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected a factor of 0 or more")
        if not self.temperature > 0:
            raise ValueError(f"temperature: {self.temperature!r}; expected a positive number")
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum: {self.momentum!r}; expected a number in [0, 1]")
        if self.positives not in get_args(Positives):
            raise ValueError(
                f"positives: {self.positives!r}; expected one of {get_args(Positives)}"
            )
        if self.name == "supervised" and self.positives != "own":
            raise ValueError(
                f"positives: {self.positives!r}; expected 'own' with labels, which make no pairs"
            )
        if self.labels not in get_args(LabelSource):
            raise ValueError(f"labels: {self.labels!r}; expected one of {get_args(LabelSource)}")
        if self.name != "supervised" and self.labels != "own":
            raise ValueError(
                f"labels: {self.labels!r}; expected 'own' with {self.name!r}, which sees none"
            )

    def regularizer_at(self, epoch: int) -> float:
        """The factor on the regularizer during `epoch` (from 0)."""
        until = float("inf") if self.on_until < 0 else self.on_until
        return self.regularizer if self.on_from <= epoch < until else 0.0


@dataclass(frozen=True)
class OptimConfig:
    """How to descend. The defaults are the recipe for a batch of 256.

    Attributes:
        name: "lars" (You et al., arXiv:1708.03888), "sgd" or "adamw" (torch's own).
        lr: peak learning rate.
        weight_decay: on matrices and filters only, never on biases and normalisation.
        momentum: of LARS and SGD.
        eta: LARS's trust coefficient.
        warmup_epochs: linear warm-up from 0, in epochs; at most a tenth of a short run.
    """

    name: Literal["lars", "sgd", "adamw"] = "lars"
    lr: float = 0.3
    weight_decay: float = 1e-4
    momentum: float = 0.9
    eta: float = 0.02
    warmup_epochs: float = 10.0

    def __post_init__(self) -> None:
        if self.name not in ("lars", "sgd", "adamw"):
            raise ValueError(f"name: {self.name!r}; expected 'lars', 'sgd' or 'adamw'")
        for name in ("lr", "eta"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected a positive number")
        for name in ("weight_decay", "warmup_epochs"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name}: {getattr(self, name)!r}; expected 0 or more")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: {self.momentum!r}; expected a number in [0, 1)")


PRECISIONS = ("bf16", "fp32")


def check_precision(precision: str) -> None:
    """Raises a ValueError unless `precision` is "bf16" or "fp32"."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision: {precision!r}; expected 'bf16' or 'fp32'")


@dataclass(frozen=True)
class RunConfig:
    """One training trajectory.

    Attributes:
        backbone: "res-L-H", "resnet18", "resnet18-W" or "vit-L-H".
        objective: what to minimise.
        views: on which views.
        optim: and how.
        projector_width: of the three-layer projector in front of the objective.
        data: "cifar100" or "glyphs100".
        images_per_class: a class-balanced subset of the training images; 0 means all of them.
        epochs: passes over the (sub)set of training images.
        batch: images in a step, over all processes.
        seed: of everything random.
        precision: "bf16" computes the network in bfloat16 where that is safe (autocast) and the
            device has instructions for it, the loss always in float32; without them it means
            what "fp32" does (see `training.runtime`). "fp32" computes everything in float32,
            but that on CUDA convolutions round what they multiply to TF32 where torch is set
            so, as it is by default (`torch.backends.cudnn.allow_tf32`).
        held_out: train without the images of `data.hierarchy.held_out_classes`, one class of
            each superclass. What was learned is measured on all classes.
    """

    backbone: str = "res-5-250"
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    projector_width: int = 2048
    data: Literal["cifar100", "glyphs100"] = "cifar100"
    images_per_class: int = 0
    epochs: int = 200
    batch: int = 256
    seed: int = 0
    precision: Literal["bf16", "fp32"] = "bf16"
    held_out: bool = False

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch": 2, "projector_width": 1, "images_per_class": 0, "seed": 0}
        for name, low in least.items():  # as Python's own integers, which JSON can hold
            object.__setattr__(self, name, at_least(getattr(self, name), low, name))
        check_precision(self.precision)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types, nested as the dataclasses are; without later settings at rest."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        for settings, later in ((plain, _LATER), (plain["objective"], _LATER_OBJECTIVE)):
            for name, at_rest in later.items():
                if settings[name] == at_rest:
                    del settings[name]
        return plain

    def digest(self) -> str:
        """SHA-256 of the configuration; a checkpoint of another digest is refused."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def run_config_from_dict(values: dict[str, Any]) -> RunConfig:
    """The inverse of `RunConfig.as_dict`.

    Raises:
        ValueError: a field that this version does not know, by name.
    """
    nested = {"objective": ObjectiveConfig, "views": ViewConfig, "optim": OptimConfig}

    def build(kind: type, given: dict[str, Any]) -> Any:
        names = {f.name for f in dataclasses.fields(kind)}
        if unknown := sorted(set(given) - names):
            raise ValueError(
                f"{kind.__name__}: field {unknown[0]!r}; expected one of {sorted(names)}"
            )
        return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})

    parts = {k: build(nested[k], v) if k in nested else v for k, v in values.items()}
    built: RunConfig = build(RunConfig, parts)
    return built


def log_spaced(epochs: int) -> tuple[int, ...]:
    """0 (before training), then 1, 2, 3, 5 times the powers of ten, and the last epoch.

    >>> log_spaced(60)
    (0, 1, 2, 3, 5, 10, 20, 30, 50, 60)
    """
    chosen = {0, epochs}
    decade = 1
    while decade <= epochs:
        chosen.update(m * decade for m in (1, 2, 3, 5) if m * decade <= epochs)
        decade *= 10
    return tuple(sorted(chosen))


@dataclass(frozen=True)
class LoopConfig:
    """How to run, which does not change what is computed (and so not the digest).

    Attributes:
        device: where; a word is looked up by `pick_device`, and the default is its "auto".
        minutes: stop cleanly at a step after this many minutes; None means never. Of several
            processes, about half a second later.
        checkpoint_minutes: time between checkpoints.
        checkpoint_steps: steps between checkpoints, besides; 0 means by time alone.
        check_every: steps between looks at the loss for NaN (a look waits for the device).
        compile: compile the network and the views: "yes", "no", or "auto", which means on CUDA
            where Triton and a C compiler are there. Of several processes, the views only.
        capture: on CUDA, with one process, capture a step in a CUDA graph and replay it.
        progress: show a progress bar.
    """

    device: torch.device = "auto"  # type: ignore[assignment]  # a word until it is looked up
    minutes: float | None = None
    checkpoint_minutes: float = 2.0
    checkpoint_steps: int = 0
    check_every: int = 50
    compile: str = "auto"
    capture: bool = True
    progress: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.device, str):
            object.__setattr__(self, "device", pick_device(self.device))
        for name in ("minutes", "checkpoint_minutes", "checkpoint_steps"):
            value = getattr(self, name)
            if value is not None and (math.isnan(value) or value < 0):
                raise ValueError(f"{name}: {value!r}; expected 0 or more")
        if self.check_every < 1:
            raise ValueError(f"check_every: {self.check_every!r}; expected 1 or more")
        if self.compile not in ("auto", "yes", "no"):
            raise ValueError(f"compile: {self.compile!r}; expected 'auto', 'yes' or 'no'")


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ValueError: another name, or the device is absent.
    """
    import torch  # here: who reads what a configuration says need not wait for it

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device: {name!r}; expected 'auto', 'cpu', 'cuda' or 'cuda:N'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device: {name!r}; expected 'cpu' or 'auto', as this machine has no CUDA device"
        )
    if device.type == "cuda" and device.index is not None:
        count = torch.cuda.device_count()
        if device.index >= count:
            raise ValueError(
                f"device: {name!r}; expected at most 'cuda:{count - 1}', this machine's last one"
            )
    return device
