"""Snapshots: the backbone's weights after chosen epochs and steps, from which a run is measured.

Training writes snapshots and nothing else; measuring reads them. So measuring can be done
again, with more measures or on another machine, without training again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ssl_companion.io.atomic import atomic_file
from ssl_companion.training.backbones import Backbone, make_backbone, padding
from ssl_companion.training.checkpoint import CheckpointError
from ssl_companion.training.config import RunConfig
from ssl_companion.training.config import log_spaced as log_spaced
from ssl_companion.training.runtime import derived_seed

_CLASSIFIER = "classifier."
_NAME = re.compile(r"(epoch|step)-(\d{5})\.safetensors")

#: What is counted: a snapshot after so many epochs, or after so many steps.
Unit = Literal["epoch", "step"]


def snapshot_path(folder: str | Path, number: int, unit: Unit = "epoch") -> Path:
    """Where the snapshot after so many epochs, or steps, stands in `folder`."""
    return Path(folder) / f"{unit}-{number:05d}.safetensors"


def snapshot_epochs(folder: str | Path) -> tuple[int, ...]:
    """The epochs that have a snapshot in `folder`, ascending."""
    return _numbers(folder, "epoch")


def snapshot_steps(folder: str | Path) -> tuple[int, ...]:
    """The steps that have a snapshot of their own in `folder`, ascending."""
    return _numbers(folder, "step")


def _numbers(folder: str | Path, unit: Unit) -> tuple[int, ...]:
    matches = (_NAME.fullmatch(path.name) for path in Path(folder).glob(f"{unit}-*.safetensors"))
    return tuple(sorted(int(match[2]) for match in matches if match))


def save_snapshot(
    folder: str | Path,
    number: int,
    backbone: Backbone,
    digest: str,
    classifier: nn.Linear | None = None,
    unit: Unit = "epoch",
) -> Path:
    """Write the weights, float32 and without padding, with the configuration's digest.

    A supervised run's `classifier` stands beside them, so that its outputs can be targets.

    Raises:
        CheckpointError: the disk is full or the folder is not writable.
    """
    path = snapshot_path(folder, number, unit)
    whole = dict(backbone.exported_state())
    if classifier is not None:
        whole |= {_CLASSIFIER + name: value for name, value in classifier.state_dict().items()}
    state = {name: tensor.contiguous().cpu() for name, tensor in whole.items()}
    try:
        with atomic_file(path) as temporary:
            safetensors.torch.save_file(state, temporary, metadata={"digest": digest})
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: could not be written ({error}); make room there and resume the run"
        ) from error
    return path


def load_snapshot(
    path: str | Path,
    config: RunConfig,
    device: torch.device | str = "cpu",
    pad_to: int | None = None,
) -> Backbone:
    """The backbone that a snapshot holds, in evaluation mode on `device`.

    Args:
        path: the file.
        config: the run's.
        device: where the backbone will be.
        pad_to: see `backbones.ResLH`; by default as in training, which pads on CUDA.

    Raises:
        ValueError: the file is truncated, or is of another configuration.
    """
    state = _read(path, config)
    seed = derived_seed(config.seed, "backbone")
    pad_to = pad_to or padding(torch.device(device))
    backbone = make_backbone(config.backbone, seed=seed, pad_to=pad_to)
    backbone.load_exported({k: v for k, v in state.items() if not k.startswith(_CLASSIFIER)})
    # The order of memory in which `extract` hands over images.
    return backbone.eval().to(device).to(memory_format=torch.channels_last)


def load_classifier(
    path: str | Path, config: RunConfig, device: torch.device | str = "cpu"
) -> nn.Linear:
    """The classifier beside a supervised run's backbone.

    Raises:
        ValueError: the run was not supervised, or as in `load_snapshot`.
    """
    state = _read(path, config)
    if _CLASSIFIER + "weight" not in state:
        raise ValueError(f"{path}: holds no classifier; only supervised runs have one")
    weight = state[_CLASSIFIER + "weight"]
    # Without drawing weights, which would move the global random state.
    classifier = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
    assert isinstance(classifier, nn.Linear)
    classifier.load_state_dict({n: state[_CLASSIFIER + n] for n in ("weight", "bias")})
    return classifier.eval().to(device)


def _read(path: str | Path, config: RunConfig) -> dict[str, Tensor]:
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            digest = (file.metadata() or {}).get("digest", "")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path}: not a readable snapshot ({error}); delete it and "
                         f"{path.parent.parent / 'checkpoints'}, and give the same command again: "
                         "the run is trained from its beginning, and comes out the same"
                         ) from error  # fmt: skip
    if digest != config.digest():
        raise ValueError(
            f"{path}: a snapshot of another configuration (digest {digest[:12]}, expected "
            f"{config.digest()[:12]}); use the folder of that run"
        )
    return state
