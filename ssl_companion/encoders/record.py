"""Your own encoder as a recording, which the pages of the book show like theirs.

Somebody's images or features with their labels, as sets that a recording is made of.

One encoder or its checkpoints, as they come.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from ssl_companion.data import Hierarchy, ImageSet, Level, augmentation
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import hierarchy_to_dict
from ssl_companion.data.images import LabelSet
from ssl_companion.encoders.evaluate import halves
from ssl_companion.encoders.inputs import (
    Labels,
    check_same_classes,
    images_and_labels,
)
from ssl_companion.encoders.runner import Encoder, Runner
from ssl_companion.presets.record import OccupiedError
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.recordings.config import Subsets
from ssl_companion.recordings.format import RUN
from ssl_companion.recordings.measuring import (
    Measured,
    measure_features,
    measure_samples,
    sample_stream,
)
from ssl_companion.recordings.writing import (
    Contents,
    about_data,
    about_measuring,
    refuse_other_folder,
    write_folder,
)

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
        encoder: as in `measure_encoder`; or several, by epoch: a dictionary, or pairs of epoch
            and encoder, asked for one after the other, so that they need not all be in memory.
            None when `images` are features already.
        images: as in `measure_encoder`; without an encoder also features [N, D] by epoch, or
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
        preprocess, outputs, batch, device: as in `evaluate.measure_encoder`.
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


def _run(run: Runner, x: Features, epoch: int, name: str) -> dict[str, Tensor]:
    """Features by layer of one epoch."""
    if not isinstance(x, dict):
        return run(x, name)
    found = {}
    for layer, values in x[epoch].items():
        found[layer] = run(values, f"{name}[{epoch}][{layer!r}]")["features"]
    return found


def _require_bytes(x: Features) -> None:
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
        drawn = augmentation.draw_parameters(len(many), how, stream, *many.shape[2:]).to(run.device)
        as_bytes = (augmentation.apply(many, drawn) * 255).round().to(torch.uint8)
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


OWN = "own images"

#: Images or features [N, ...]; or features [N, D] by epoch and layer.
Features = np.ndarray | Tensor | dict[int, dict[str, Any]]
Given = tuple[Any, Labels | None, Sequence[str] | None]


def labelled_sets(
    features: bool, train: Given, test: Given, hierarchy: Hierarchy | None, seed: int
) -> tuple[tuple[Features, LabelSet], tuple[Features, LabelSet]]:
    """What is given as training and test images, checked; halves of the first without the second.

    Args:
        features: whether they are features already.
        train, test: images or features, labels and names.
        hierarchy: upper levels.
        seed: of the halves.

    Raises:
        ValueError: bad images, labels or names; the message says which.
    """
    if isinstance(train[0], ImageSet) and train[1] is None:
        hierarchy = hierarchy or train[0].hierarchy  # which its own labels have
    x, y, names = _given(features, train, "")
    title, stand_in = _title(train[0]), isinstance(train[0], ImageSet) and train[0].stand_in
    if test[0] is None:
        if test[1] is not None or test[2] is not None:
            raise ValueError("test_labels, test_names: given without test_images")
        rows = halves(y, seed)
        parts = [(_rows(x, some), y[some], names[some]) for some in rows]
    else:
        parts = [(x, y, names), _given(features, test, "test_")]
        _check_alike(x, parts[1][0])
    check_same_classes(parts[0][1], parts[1][1], hierarchy)
    k = int(parts[0][1].max()) + 1
    if absent := sorted(set(range(k)) - set(parts[1][1].tolist())):
        raise ValueError(
            f"test_labels: class {absent[0]} is absent; expected an image of every class"
        )
    hierarchy = hierarchy or _one_level(k)
    sets = [
        LabelSet(title, split, labels, files, _fingerprint(values, labels), hierarchy, stand_in)
        for split, (values, labels, files) in zip(("train", "test"), parts, strict=True)
    ]
    return (parts[0][0], sets[0]), (parts[1][0], sets[1])


def _given(features: bool, given: Given, prefix: str) -> tuple[Features, np.ndarray, np.ndarray]:
    """Images or features, labels int64 [N], names str [N]."""
    values, labels, names = given
    table: Features
    if features and isinstance(values, Mapping):
        by_layer = _by_layer(values, prefix)
        arrays = [array for layers in by_layer.values() for array in layers.values()]
        for array in arrays:
            _, y = images_and_labels(array, labels, prefix)
        table = by_layer
    elif isinstance(values, Mapping):
        raise ValueError(
            f"{prefix}images: a dictionary; expected one array for all checkpoints. Features by "
            "epoch go with encoder None"
        )
    else:
        table, y = images_and_labels(values, labels, prefix)
    if names is None and isinstance(values, ImageSet):
        names = values.files.tolist()
    if names is None:
        names = [f"{prefix.replace('_', ' ')}image {row}" for row in range(len(y))]
    if len(names) != len(y):
        raise ValueError(
            f"{prefix}names: {len(names)} for {len(y)} images; expected one for each, or none"
        )
    return table, y, np.array([str(name) for name in names])


def _by_layer(values: Mapping[Any, Any], prefix: str) -> dict[int, dict[str, Any]]:
    """Features by epoch and layer, from those by epoch, too."""
    found: dict[int, dict[str, Any]] = {}
    for epoch, given in values.items():
        found[epoch] = dict(given) if isinstance(given, Mapping) else {"features": given}
        if not found[epoch]:
            raise ValueError(f"{prefix}images: no layer at epoch {epoch!r}; expected one or more")
    if not found:
        raise ValueError(f"{prefix}images: an empty dictionary; expected features by epoch")
    return found


def _check_alike(table: Features, test: Features) -> None:
    def places(one: Features) -> list[tuple[Any, str]]:
        layers = one.items() if isinstance(one, dict) else ()
        return sorted((epoch, layer) for epoch, found in layers for layer in found)

    if places(table) != places(test):
        raise ValueError(
            f"test_images: features of {places(test) or 'one layer'}; expected those of images: "
            f"{places(table) or 'one layer'}"
        )


def _rows(table: Features, rows: np.ndarray) -> Features:
    if not isinstance(table, dict):
        return table[rows]
    return {epoch: {k: v[rows] for k, v in layers.items()} for epoch, layers in table.items()}


def _title(images: object) -> str:
    return images.name if isinstance(images, ImageSet) else OWN


def _one_level(k: int) -> Hierarchy:
    names = tuple(f"class {label}" for label in range(k))
    return Hierarchy(OWN, (Level("fine", names, np.arange(k)),))


def _fingerprint(table: Features, labels: np.ndarray) -> str:
    """SHA-256 of values and labels, hexadecimal."""
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    tables = table if isinstance(table, dict) else {0: {"": table}}
    for epoch, layers in tables.items():
        for layer, values in layers.items():
            digest.update(f"{epoch} {layer} {values.dtype} {tuple(values.shape)}".encode())
            if isinstance(values, Tensor):  # NumPy has no bfloat16, but any number has bytes
                values = values.detach().cpu().contiguous().view(torch.uint8).numpy()
            digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


Encoders = Encoder | Mapping[int, Encoder] | Iterable[tuple[int, Encoder]] | None


def by_epoch(encoder: Encoders, x: Features) -> Iterator[tuple[Any, Encoder | None]]:
    """Epoch and encoder, one after the other; None for features that are there already.

    Raises:
        ValueError: something else among the checkpoints than such pairs.
    """
    if encoder is None:
        yield from ((epoch, None) for epoch in (x if isinstance(x, dict) else (0,)))
    elif isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        yield from encoder.items()
    elif callable(encoder):
        yield 0, encoder
    else:
        for pair in encoder:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise ValueError(
                    f"encoder: {type(pair).__name__} among the checkpoints; expected pairs of "
                    "epoch and encoder"
                )
            yield pair


def new_epoch(epoch: object, before: Mapping[int, object]) -> int:
    """The epoch of a checkpoint.

    Raises:
        ValueError: it is no number, or was there before.
    """
    if not isinstance(epoch, (int, np.integer)) or epoch < 0 or epoch in before:
        raise ValueError(
            f"encoder: epoch {epoch!r} after {list(before) or 'none'}; expected whole numbers from "
            "0, each once"
        )
    return int(epoch)


def same_layers(before: tuple[str, ...], now: tuple[str, ...], epoch: int) -> tuple[str, ...]:
    """The layers of a checkpoint.

    Raises:
        ValueError: they are others than before.
    """
    if before and before != now:
        raise ValueError(
            f"encoder: layers {', '.join(now)} at epoch {epoch}, {', '.join(before)} before; "
            "expected the same at every epoch"
        )
    return now


def name_of(encoder: Encoders) -> str:
    """What the encoder is called in titles."""
    if encoder is None:
        return "features"
    if isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        encoder = next(iter(encoder.values()), None)
    if isinstance(encoder, nn.Module):
        return type(encoder).__name__
    return getattr(encoder, "__name__", "encoder") if callable(encoder) else "checkpoints"
