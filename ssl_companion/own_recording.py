"""Your own encoder as a recording, which the pages of the book show like theirs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ssl_companion._encoding import Runner
from ssl_companion._own_checkpoints import Encoders, by_epoch, name_of, new_epoch, same_layers
from ssl_companion._own_inputs import Labels
from ssl_companion._own_sets import Table, labelled_sets
from ssl_companion.data import Hierarchy, ImageSet, views
from ssl_companion.data.hierarchy import hierarchy_to_dict
from ssl_companion.data.images import LabelSet
from ssl_companion.data.views import ViewConfig
from ssl_companion.recorder import OccupiedError
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.recordings.folder import (
    Contents,
    about_data,
    about_measuring,
    refuse_other_folder,
    write_folder,
)
from ssl_companion.recordings.format import RUN
from ssl_companion.recordings.measuring import (
    Measured,
    measure_features,
    measure_samples,
    sample_stream,
)
from ssl_companion.recordings.subsets import Subsets

DATA = "own"
_NOT_HERE = ("every_sample_at", "weights", "targets", "against")

Images = ImageSet | np.ndarray | Tensor


def record_encoder(
    encoder: Encoders,
    images: Images | Mapping[int, Any],
    labels: Labels | None = None,
    *,
    destination: str | Path,
    test_images: Images | Mapping[int, Any] | None = None,
    test_labels: Labels | None = None,
    names: Sequence[str] | None = None,
    test_names: Sequence[str] | None = None,
    hierarchy: Hierarchy | None = None,
    title: str = "",
    config: MeasureConfig | None = None,
    sample_views: ViewConfig | None = None,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    outputs: Callable[[Any], Any] | None = None,
    batch: int = 256,
    device: torch.device | str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
) -> Recording:
    """Measure an encoder, or its checkpoints, and write down what comes out as a recording.

    It is opened by its path wherever the book opens one of its own: in the explorer, in a chapter
    (`RECORDING = "my-recordings/mine"`), or by `open_recording`.

    Args:
        encoder: as in `own.measure_encoder`; or several, by epoch: a dictionary, or pairs of epoch
            and encoder, asked for one after the other, so that they need not all be in memory.
            None when `images` are features already.
        images: as in `own.measure_encoder`; without an encoder also features [N, D] by epoch, or
            by epoch and layer, `{0: {"layer1": x, "layer2": y}, 10: {...}}`.
        labels: integers [N], 0 to K-1; an `ImageSet` brings its own.
        destination: the recording's folder; its last part is the recording's name.
        test_images, test_labels: held-out ones, of every class; None splits `images` in halves,
            class by class.
        names, test_names: what the images are called; by default "image 0" and so on.
        hierarchy: upper levels of the labels, and their classes' names; an `ImageSet` brings that
            of its own labels.
        title: plain words, for captions.
        config: what to measure and keep; by default probes on the last layer, and some features of
            every layer. Its settings of the sample level count with `sample_views` only.
        sample_views: how views of an image vary, at the sample level (every image a class of its
            own); None: no such level. The images then have to be bytes, and views are bytes, too.
        preprocess, outputs, batch, device: as in `own.measure_encoder`.
        seed: of the split.
        overwrite: replace a recording that stands there.
        progress: show a progress bar.

    Returns:
        The recording, opened.

    Raises:
        ValueError: bad images, labels, epochs or outputs of the encoder; the message says which.
        OccupiedError: a recording stands there, and no `overwrite`.
        RecordingError: a folder of something else stands there, or the disk is full.
    """
    destination, config = Path(destination), config or MeasureConfig(keep="all")
    _require_place(destination, overwrite)
    _check_config(config)
    started, begin = time.monotonic(), datetime.now(timezone.utc)
    (x, train), (x_test, test) = labelled_sets(
        encoder is None,
        (images, labels, names),
        (test_images, test_labels, test_names),
        hierarchy,
        seed,
    )
    if sample_views is not None:
        _require_bytes(x)
    subsets = Subsets.choose(train, test, config, samples=sample_views is not None)
    few = subsets.kept_samples(train, config)
    parts: dict[int, Measured] = {}
    layers: tuple[str, ...] = ()
    where = torch.device(device or "cpu")
    for given, one in tqdm(by_epoch(encoder, x), desc=destination.name, disable=not progress):
        epoch = new_epoch(given, parts)
        run = Runner(one, preprocess, outputs, batch, device)
        where = run.device
        fit = _run(run, x, epoch, "images")
        layers = same_layers(layers, tuple(fit), epoch)
        held = _run(run, x_test, epoch, "test_images")
        part = measure_features(fit, held, epoch, train, test, config)
        del fit, held
        if sample_views is not None:
            by_layer = _views(run, x, subsets.sample, config, sample_views, batch)
            measure_samples(part, by_layer, epoch, few, config)
        parts[epoch] = part
    if not parts:
        raise ValueError("encoder: no checkpoint at all; expected one or more, by epoch")
    about = about_measuring(config, where)
    if sample_views is None:
        about["config"] |= {"sample_images": 0, "map_images": 0}
    described = {
        "digest": "",
        "config": {"encoder": name_of(encoder)},
        "seed": seed,
        **{key: about[key] for key in ("git", "versions", "device")},
        "start": begin.isoformat(timespec="seconds"),
        "end": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "complete": True,
        "train_seconds": None,  # trained elsewhere
        "wall_seconds": round(time.monotonic() - started, 2),
        "data": _about_data(train, test),
        "measured": about,
    }
    words = title or f"{name_of(encoder)} of {train.name}"
    ordered = [parts[epoch] for epoch in sorted(parts)]
    losses: dict[str, list[float]] = {"epoch": [], "total": []}
    kept = subsets.sample[few]
    contents = Contents(words, described, ordered, train, test, subsets, kept, losses)
    write_folder(destination, contents)
    return open_recording(destination)


def _require_place(destination: Path, overwrite: bool) -> None:
    refuse_other_folder(destination)
    if (destination / RUN).exists() and not overwrite:
        raise OccupiedError(
            f"destination: {destination} holds a recording already; give another folder, or "
            "overwrite=True to lose the one that is there"
        )


def _check_config(config: MeasureConfig) -> None:
    for name in _NOT_HERE:
        if getattr(config, name):
            raise ValueError(
                f"config: {name}={getattr(config, name)!r}; expected none of "
                f"{', '.join(_NOT_HERE)}, which need a run that was trained here"
            )


def _run(run: Runner, x: Table, epoch: int, name: str) -> dict[str, Tensor]:
    """Features by layer of one epoch."""
    if not isinstance(x, dict):
        return run(x, name)
    found = {}
    for layer, values in x[epoch].items():
        found[layer] = run(values, f"{name}[{epoch}][{layer!r}]")["features"]
    return found


def _require_bytes(x: Table) -> None:
    if isinstance(x, dict) or x.ndim != 4 or str(x.dtype).removeprefix("torch.") != "uint8":
        raise ValueError(
            "sample_views: views are made of images as bytes, uint8 [N, 3, H, W]; give those (and "
            "a `preprocess`, where the encoder wants another size or scale), or no sample_views"
        )


def _views(
    run: Runner, x: Any, rows: np.ndarray, config: MeasureConfig, how: ViewConfig, batch: int
) -> dict[str, Tensor]:
    """Features by layer of many views of each of these images: float [images, views, D]."""
    total, stream = config.sample_views + config.sample_fresh, sample_stream()
    parts: dict[str, list[Tensor]] = {}
    per = max(1, batch // total)
    for start in range(0, len(rows), per):
        some = x[rows[start : start + per]]
        some = torch.from_numpy(some) if isinstance(some, np.ndarray) else some
        many = some.to(run.device).repeat_interleave(total, dim=0)
        drawn = views.draw(len(many), how, stream, *many.shape[2:]).to(run.device)
        as_bytes = (views.apply(many, drawn) * 255).round().to(torch.uint8)
        for layer, values in run(as_bytes, "views").items():
            parts.setdefault(layer, []).append(values.view(-1, total, values.shape[1]))
    return {layer: torch.cat(pieces) for layer, pieces in parts.items()}


def _about_data(train: LabelSet, test: LabelSet) -> dict[str, Any]:
    k = train.hierarchy.level("fine").k
    return about_data(train, test) | {
        "name": DATA,
        "whole_train_fingerprint": train.fingerprint,
        "class_counts": np.bincount(train.fine, minlength=k).tolist(),
        "hierarchy": hierarchy_to_dict(train.hierarchy),
    }
