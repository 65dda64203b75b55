"""Targets between a random function of the image and a semantic one: a teacher's predictions.

A classifier that is not trained yet is a random function of the image, a trained one nearly
the label; its snapshots in between are a continuum. Predictions are the argmax of the logits
after each class's logits are standardised over the training images, so that every class stays
a target however the untrained biases and norms differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ssl_companion.data import ImageSet
from ssl_companion.recordings.format import RecordingError, key
from ssl_companion.recordings.measuring import Target
from ssl_companion.recordings.opening import open_recording
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.extract import extract

LAYER = "classifier"


@torch.inference_mode()
def teacher_predictions(
    backbone: Backbone, classifier: nn.Linear, train: ImageSet, test: ImageSet, precision: str
) -> tuple[Tensor, Tensor]:
    """Predicted classes of all images, uint8 [N] and [M]."""
    logits = []
    for images in (train, test):
        features = extract(backbone, images.images, precision=precision)[backbone.layers[-1]]
        logits.append(classifier(features))
    centre, spread = logits[0].mean(dim=0), logits[0].std(dim=0).clamp_min(1e-12)
    first, second = (((z - centre) / spread).argmax(dim=1).to(torch.uint8).cpu() for z in logits)
    return first, second


def keep_targets(epoch: int, train: Tensor, test: Tensor) -> dict[str, Tensor]:
    """The predictions under their names in `features.safetensors`."""
    return {key(epoch, LAYER, "targets.train"): train, key(epoch, LAYER, "targets.test"): test}


def load_targets(
    name: str,
    root: str | Path,
    train: ImageSet,
    test: ImageSet,
    rows: np.ndarray | None = None,
    digest: str = "",
) -> list[Target]:
    """The targets that a recording keeps, one for each of its epochs.

    Args:
        name, root: of the recording.
        train, test: the *whole* image sets that they have to be of.
        rows: indices [n] into `train`, for a run on a part of it.
        digest: of the configuration that the recording has to have; empty: any.

    Raises:
        RecordingError: no such recording, of another configuration, none kept, or of other
            images.
    """
    recording = open_recording(name, root)
    wanted = (train.fingerprint, test.fingerprint)
    about, found = recording.run["data"], recording.run.get("digest", "")
    if digest and found != digest:
        raise RecordingError(
            f"{recording.path}: another teacher than the one wanted ({recording.title}; its "
            f"configuration has the digest {found[:12]}, expected {digest[:12]})"
        )
    if (about["whole_train_fingerprint"], about["test_fingerprint"]) != wanted:
        raise RecordingError(f"{recording.path}: its targets are of other images than {train.name}")
    targets = []
    for epoch in recording.target_epochs():
        y, z = recording.targets(epoch, "train"), recording.targets(epoch, "test")
        y = y if rows is None else y[rows]
        targets.append(Target(level=f"teacher-{epoch:03d}", train=y, test=z))
    if not targets:
        raise RecordingError(f"{recording.path}: keeps no targets; record the preset 'targets'")
    return targets


def targets_digest(targets: Sequence[Target]) -> str:
    """SHA-256 of the names and labels: other targets, another measurement."""
    digest = hashlib.sha256()
    for target in targets:
        for part in (target.level.encode(), target.train.tobytes(), target.test.tobytes()):
            digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()
