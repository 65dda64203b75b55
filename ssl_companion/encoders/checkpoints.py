"""What a recording says of one checkpoint of an encoder, and of the images it is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_companion.data import augmentation
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import hierarchy_to_dict
from ssl_companion.encoders.inputs.samples import Samples, Values
from ssl_companion.encoders.running.runner import Runner
from ssl_companion.measures import _checks
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.measuring import (
    Measured,
    measure_features,
    measure_samples,
    require_alike,
    sample_stream,
)
from ssl_companion.recordings.writing import about_data
from ssl_companion.training.extract import Collected

DATA = "own"


@dataclass(frozen=True, eq=False)
class CheckpointMeasures:
    """Measures one checkpoint after the other on the same images.

    Example:
        >>> from ssl_companion.encoders.inputs.labelled import Labelled
        >>> from ssl_companion.encoders.inputs.samples import training_and_test
        >>> x, y = np.random.default_rng(0).normal(size=(40, 8)), np.repeat([0, 1], 20)
        >>> images = training_and_test(Labelled(x, y), Labelled(None), None, False, seed=0)
        >>> measures = CheckpointMeasures(*images, MeasureConfig(), None)
        >>> measured = measures.of(0, Runner(torch.nn.Linear(8, 3)))
        >>> [row[1:5] for row in measured.rows if row[4] == "ncc"][:2]
        [('output', 'fine', 'train', 'ncc'), ('output', 'fine', 'test', 'ncc')]

    Attributes:
        train, test: images or features.
        config: what to measure and keep.
        views: how views vary, of the sample level; None: no such level.

    Raises:
        ValueError: `views`, and no images in bytes.
    """

    train: Samples
    test: Samples
    config: MeasureConfig
    views: ViewConfig | None

    def __post_init__(self) -> None:
        x = self.train.values
        fits = (
            isinstance(x, np.ndarray | Tensor)
            and x.ndim == 4
            and str(x.dtype).removeprefix("torch.") == "uint8"
        )
        if self.views is not None and not fits:
            raise ValueError(
                "sample_views: given with other images; expected an array of bytes, uint8 "
                "[N, 3, H, W], of which views are made (and a `preprocess`, where the encoder "
                "wants another size or scale), or no sample_views"
            )

    @cached_property
    def subsets(self) -> Subsets:
        """The images whose features are kept."""
        samples = self.views is not None
        return Subsets.choose(self.train.about, self.test.about, self.config, samples)

    def of(self, epoch: int, runner: Runner, layers: Sequence[str] = ()) -> Measured:
        """Measure a checkpoint.

        Args:
            epoch: its number, for the rows.
            runner: runs the encoder.
            layers: those of other epochs, which it has to have; none: any.

        Raises:
            ValueError: other layers, or a layer whose name has a "/".
            EncoderError: the encoder failed.
        """
        about, subsets = (self.train.about, self.test.about), self.subsets
        x_train = _features(runner, self.train.values, epoch, "images")
        if unfit := [layer for layer in x_train if not layer or "/" in layer]:
            raise ValueError(
                f"encoder: a layer {unfit[0]!r}; expected names without '/', which parts the names "
                "of what is kept; `outputs` can return a dictionary with others"
            )
        if layers and list(layers) != list(x_train):
            raise ValueError(
                f"encoder: layers {', '.join(x_train)} at epoch {epoch}, "
                f"{', '.join(layers)} before; expected the same at every epoch"
            )
        if self.train.rows is None or self.test.rows is None:
            x_test = _features(runner, self.test.values, epoch, "test_images")
            require_alike(x_train, x_test, ("images", "test_images"))
        else:
            x_train, x_test = _parts(x_train, self.train.rows, self.test.rows)
        part = measure_features(x_train, x_test, epoch, *about, self.config, subsets)
        del x_train, x_test
        if self.views is not None:
            by_layer = _views(runner, self.train, subsets, self.config, self.views)
            measure_samples(part, by_layer, epoch, self.config, subsets)
        return part

    def data(self) -> dict[str, Any]:
        """The images, as run.json says it."""
        labels = self.train.about
        k = labels.hierarchy.level("fine").k
        return about_data(labels, self.test.about) | {
            "name": DATA,
            "whole_train_fingerprint": labels.fingerprint,
            "class_counts": np.bincount(labels.fine, minlength=k).tolist(),
            "hierarchy": hierarchy_to_dict(labels.hierarchy),
        }


def _features(runner: Runner, x: Values, epoch: int, name: str) -> dict[str, Tensor]:
    """Features by layer of one epoch."""
    if not isinstance(x, dict):
        return runner(x, name)
    return {
        layer: runner(values, f"{name}[{epoch}][{layer!r}]")["features"]
        for layer, values in x[epoch].items()
    }


def _parts(whole: dict[str, Tensor], *rows: np.ndarray) -> list[dict[str, Tensor]]:
    """Some rows of every layer, and others; the whole of one layer is let go before the next."""
    parts: list[dict[str, Tensor]] = [{} for _ in rows]
    for layer in list(whole):
        values = whole.pop(layer)
        for part, some in zip(parts, rows, strict=True):
            part[layer] = values[some]
    return parts


def _views(
    runner: Runner, train: Samples, subsets: Subsets, config: MeasureConfig, how: ViewConfig
) -> dict[str, Tensor]:
    """Features by layer of many views of each sample-level image: float [images, views, D]."""
    total, stream = config.sample_views + config.sample_fresh, sample_stream()
    x: Any = train.values
    rows = subsets.sample if train.rows is None else train.rows[subsets.sample]
    per = max(1, runner.batch // total)
    found = Collected(len(rows))
    for start in range(0, len(rows), per):
        images = _checks.as_tensor(x[rows[start : start + per]], "images").to(runner.device)
        many = images.repeat_interleave(total, dim=0)
        drawn = augmentation.draw_parameters(len(many), how, stream, *many.shape[2:])
        views = augmentation.apply(many, drawn.to(runner.device))
        as_bytes = (views * 255).round().to(torch.uint8)
        by_layer = runner(as_bytes, "views").items()
        found.add({layer: values.unflatten(0, (-1, total)) for layer, values in by_layer})
    return found.whole
