"""A run that was trained by other code, as a recording like any other.

The folder of such a run holds

    results.json            what was trained: config {arch, loss, coef, epochs, bs, lr, opt}, device
                            and train_seconds; loss_history (a row an epoch) and its columns; by
                            epoch, in percent, what was measured there
    features_EEEE.npz       of every measured epoch: test float [L, N, D], class_means float
                            [L, K, D] over all training images, labels int [N], path str [N]
    weights_fp16.npz        the network after training, weights_fp16_epoch0.npz before it

The network of the first and of the last epoch is there, so both are measured anew, of all images.
Of the epochs between there are features of some test images and the class means, so NCC accuracy
is measured on those; what cannot be measured again is the source's own figure. The column `by` of
measures.csv.gz has a word for each of these: "weights", "features", "source".
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from ssl_companion import measures
from ssl_companion.data import ImageSet, Level
from ssl_companion.data.images import balanced_indices
from ssl_companion.io.atomic import file_digest
from ssl_companion.recordings.config import MeasureConfig, Subsets
from ssl_companion.recordings.format import (
    RANDOM_IMAGE,
    SAMPLE,
    MeasureRow,
    RecordingError,
    key,
)
from ssl_companion.recordings.groupings import Groupings, measure_groupings
from ssl_companion.recordings.kept import measure_kept
from ssl_companion.recordings.measuring import (
    Measured,
    Target,
    levels_and_controls,
    measure_snapshot,
)
from ssl_companion.recordings.places import held_place, refuse_recording, require_writable
from ssl_companion.recordings.writing import Contents, about_data, about_measuring
from ssl_companion.training.backbones import Backbone, make_backbone
from ssl_companion.training.config import ObjectiveConfig, OptimConfig, RunConfig, pick_device
from ssl_companion.training.runtime import computed

RESULTS, FIRST, LAST = "results.json", "weights_fp16_epoch0.npz", "weights_fp16.npz"
WEIGHTS, FEATURES, SOURCE = "weights", "features", "source"
_RECIPE = {"loss": "vicreg", "opt": "lars"}
_COEFFICIENTS = (25.0, 25.0, 1.0)  # of VICReg's recipe
_VIEWS = {"train": 500 * 100, "test": 500 * 20}  # of the source's sample level
_THEIRS = {"fine": "fine", "coarse": "coarse", "rand": RANDOM_IMAGE, "sample": SAMPLE}


@dataclass(frozen=True, eq=False)
class OtherRun:
    """What such a folder holds, checked against the images.

    Attributes:
        folder: where it is.
        results: all of results.json.
        epochs: measured ones, ascending.
        config: the run in this package's terms.
        rows: of its N test images in `test`, int64 [N].
        digests: SHA-256 of every file, by name.
    """

    folder: Path
    results: Mapping[str, Any]
    epochs: tuple[int, ...]
    config: RunConfig
    rows: np.ndarray
    digests: Mapping[str, str]

    def features(self, epoch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Features of its test images [N, D] and class means [K, D], by layer."""
        arrays = _arrays(self.folder / f"features_{epoch:04d}.npz")
        layers = make_backbone(self.config.backbone, seed=0).layers
        parts = [dict(zip(layers, arrays[name], strict=True)) for name in ("test", "class_means")]
        return parts[0], parts[1]

    def network(self, epoch: int, device: torch.device) -> Backbone:
        """The network at the first or the last epoch, in evaluation mode."""
        path = self.folder / (FIRST if epoch == self.epochs[0] else LAST)
        return load_network(path, self.config.backbone).to(device)


def _wrong(path: Path, reason: str) -> RecordingError:
    return RecordingError(
        f"{path}: {reason}; expected a folder with {RESULTS}, {FIRST}, {LAST} and "
        "features_EEEE.npz of every epoch that results.json has"
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise _wrong(path, f"cannot be read ({error})") from error


def load_network(path: Path, backbone: str) -> Backbone:
    """A backbone with the weights of an .npz file, in evaluation mode, channels last.

    Raises:
        RecordingError: the file is none, or of another network.
    """
    network = make_backbone(backbone, seed=0)
    own, state = network.exported_state(), _arrays(path)
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            continue  # counts steps, and no result depends on it
        if name not in state or state[name].shape != tuple(tensor.shape):
            there = list(state[name].shape) if name in state else "none"
            raise _wrong(path, f"{name!r} is {there}, and {list(tensor.shape)} in a {backbone}")
    given = {name: torch.from_numpy(state[name]).to(own[name]) for name in own if name in state}
    network.load_exported(own | given)
    return network.eval().to(memory_format=torch.channels_last)


def read_other_run(folder: str | Path, test: ImageSet) -> OtherRun:
    """Read and check the folder of a run that was trained by other code.

    Args:
        folder: as the module describes it.
        test: the images that its features are of, found by their file names.

    Raises:
        RecordingError: a file is absent, cut short or of something else.
    """
    folder = Path(folder)
    try:
        results = json.loads((folder / RESULTS).read_text("utf-8"))
        epochs = tuple(sorted(int(epoch) for epoch in results["epochs"]))
        config = _config(results["config"], folder)
        if len(results["loss_history"]) != config.epochs or epochs[-1] != config.epochs:
            raise _wrong(
                folder / RESULTS, f"has no losses or measures of all {config.epochs} epochs"
            )
        if not isinstance(results["device"], str) or not 0 <= results["train_seconds"] < np.inf:
            raise ValueError("device: expected text; train_seconds: expected a number from 0")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, RecordingError):
            raise
        raise _wrong(folder / RESULTS, f"cannot be used ({error!r})") from error
    files = [RESULTS, FIRST, LAST, *(f"features_{epoch:04d}.npz" for epoch in epochs)]
    if absent := [name for name in files if not (folder / name).is_file()]:
        raise _wrong(folder / absent[0], "there is no such file")
    for name in (FIRST, LAST):
        load_network(folder / name, config.backbone)
    rows = _rows_of(folder, epochs, config, test)
    digests = {name: file_digest(folder / name) for name in files}
    run = OtherRun(folder, results, epochs, config, rows, digests)
    try:  # hours of measuring come between this and their use
        _losses(run)
        for epoch in epochs[1:-1]:
            _by_source(run, epoch, test, test)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RecordingError):
            raise
        raise _wrong(folder / RESULTS, f"cannot be used ({error!r})") from error
    return run


def _share(percent: float) -> float:
    """An accuracy as a fraction, as every row of a recording has to be."""
    if isinstance(percent, bool) or not 0 <= percent <= 100:
        raise ValueError(f"an accuracy of {percent!r}; expected per cent, 0 to 100")
    return percent / 100


def _config(given: Mapping[str, Any], folder: Path) -> RunConfig:
    """The run in this package's terms: the recipe, with what the source says of it."""
    arch = re.fullmatch(r"res(\d+)", given["arch"])
    odd = {name: given[name] for name, value in _RECIPE.items() if given[name] != value}
    if odd or not arch:
        raise _wrong(folder / RESULTS, f"is of another recipe ({odd or given['arch']})")
    blocks = {name.split(".")[1] for name in _arrays(folder / LAST) if name.startswith("blocks.")}
    factors = [float(c) / whole for c, whole in zip(given["coef"], _COEFFICIENTS, strict=True)]
    return RunConfig(
        backbone=f"res-{len(blocks)}-{arch[1]}",
        objective=ObjectiveConfig(
            invariance=factors[0], variance=factors[1], covariance=factors[2]
        ),
        optim=OptimConfig(lr=float(given["lr"])),
        epochs=given["epochs"],
        batch=given["bs"],
    )


def _rows_of(
    folder: Path, epochs: tuple[int, ...], config: RunConfig, test: ImageSet
) -> np.ndarray:
    """The rows of the source's test images; every epoch has to be of the same ones."""
    network = make_backbone(config.backbone, seed=0)
    # By name and label: of CIFAR-100's test images two have the same name, in two classes.
    named = zip(test.files.tolist(), test.fine.tolist(), strict=True)
    place = {pair: i for i, pair in enumerate(named)}
    k, rows = test.hierarchy.level("fine").k, np.zeros(0, np.int64)
    for epoch in epochs:
        path = folder / f"features_{epoch:04d}.npz"
        arrays = _arrays(path)
        if missing := {"test", "class_means", "labels", "path"} - set(arrays):
            raise _wrong(path, f"has no {min(missing)!r}")
        if arrays["labels"].shape != arrays["path"].shape or arrays["path"].ndim != 1:
            raise _wrong(path, "has not as many labels as paths")
        n, layers, width = len(arrays["path"]), len(network.layers), network.width
        for name, shape in (("test", (layers, n, width)), ("class_means", (layers, k, width))):
            if arrays[name].shape != shape:
                raise _wrong(path, f"{name!r} is {list(arrays[name].shape)}, not {list(shape)}")
            if not np.isfinite(arrays[name]).all():
                raise _wrong(path, f"{name!r} has numbers that are not finite")
        theirs = zip(arrays["path"].astype(str).tolist(), arrays["labels"].tolist(), strict=True)
        found = np.array([place.get(pair, -1) for pair in theirs])
        if (found < 0).any() or len(set(found.tolist())) != n:
            strange = arrays["path"][found < 0]
            reason = (
                f"{strange[0]!r} with its label is no test image of {test.name}"
                if len(strange)
                else "has an image twice"
            )
            raise _wrong(path, reason)
        if epoch == epochs[0]:
            rows = found
        elif not np.array_equal(rows, found):
            raise _wrong(path, f"is of other images than epoch {epochs[0]}")
    return rows


def import_run(
    folder: str | Path,
    destination: str | Path,
    train: ImageSet,
    test: ImageSet,
    config: MeasureConfig,
    *,
    title: str = "",
    targets: tuple[Target, ...] = (),
    judged: Sequence[Level] = (),
    device: torch.device | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Measure a run that was trained by other code, and write it as a recording.

    The same folder, images and device give the same files, byte for byte.

    Args:
        folder: of the run, as the module describes it.
        destination: the recording's folder.
        train, test: the images.
        config: what to measure of the first and the last epoch, with probes on every layer if on
            any; `keep_test` images of each class keep their features at every epoch and layer,
            chosen among those that the source has.
        title: plain words for captions.
        targets: further labels of both sets, for the last layer of these two epochs.
        judged: groupings under which the source's test images are counted, besides those by looks.
        device: where to measure; None: on CUDA where there is one.
        overwrite: replace a recording that stands there, once the new one is whole.
        progress: show a progress bar.

    Returns:
        `destination`.

    Raises:
        RecordingError: the folder is not complete or of something else, and nothing is written.
        OccupiedError: a recording stands there, and no `overwrite`.
    """
    destination = Path(destination)
    refuse_recording(destination, overwrite)
    require_writable(destination.parent)
    run = read_other_run(folder, test)
    ends, where = (run.epochs[0], run.epochs[-1]), device or pick_device()
    config = replace(config, probe_layers_at=ends)
    subsets, kept = _subsets(run, train, test, config)
    losses = _losses(run)
    groupings = _groupings(run, train, test, judged)
    parts = []
    for epoch in tqdm(run.epochs, desc=f"measuring {destination.name}", disable=not progress):
        if epoch in ends:
            part = _by_weights(run, epoch, train, test, config, targets, where)
        else:
            rows = _by_features(run, epoch, train, test) + _by_source(run, epoch, train, test)
            part = Measured(rows=rows)
        _keep(part, run, epoch, kept)
        parts.append(part)
    contents = Contents(
        title=title,
        run=_described(run, train, test, config, where),
        parts=parts,
        train=train,
        test=test,
        subsets=subsets,
        losses=losses,
        weights=_last_weights(run),
        groupings=groupings,
        by=lambda row: _by(row, ends),
    )
    with held_place(destination, partial(refuse_recording, destination, overwrite)):
        contents.write(destination)
    return destination


def _by(row: MeasureRow, ends: tuple[int, int]) -> str:
    """How a row came about."""
    epoch, _, level, split, measure = row[:5]
    if split == "subset-test" and level != SAMPLE:
        return FEATURES
    if epoch in ends:
        return WEIGHTS
    theirs = measure == "linear" or level in (RANDOM_IMAGE, SAMPLE) or split == "train"
    return SOURCE if theirs else FEATURES


def _subsets(
    run: OtherRun, train: ImageSet, test: ImageSet, config: MeasureConfig
) -> tuple[Subsets, np.ndarray]:
    """The images that are kept, and where the test images among them are in the source's."""
    labels = test.fine[run.rows]
    some = balanced_indices(labels, min(config.keep_test, int(np.bincount(labels).min())))
    some = some[np.argsort(run.rows[some])]
    return replace(Subsets.choose(train, test, config), test=run.rows[some]), some


def _keep(part: Measured, run: OtherRun, epoch: int, kept: np.ndarray) -> None:
    """Add features of the kept test images and the class means, all layers, eight bits each."""
    features, means = run.features(epoch)
    for layer in features:
        for what, x in (("test", features[layer][kept]), ("class_means", means[layer])):
            part.keep(key(epoch, layer, what), torch.from_numpy(x).float())


def _by_weights(
    run: OtherRun,
    epoch: int,
    train: ImageSet,
    test: ImageSet,
    config: MeasureConfig,
    targets: tuple[Target, ...],
    device: torch.device,
) -> Measured:
    """An epoch whose network is there: all that a snapshot of this package would have."""
    network, recipe = run.network(epoch, device), run.config
    return measure_snapshot(
        network, epoch, train, test, recipe.views, config, recipe.precision, targets
    )


def _by_features(run: OtherRun, epoch: int, train: ImageSet, test: ImageSet) -> list[MeasureRow]:
    """NCC accuracy of the source's test images by its class means, and their effective rank."""
    features, means = run.features(epoch)
    fine, rows = test.fine[run.rows], []
    counts = np.bincount(train.fine)
    for layer, x in features.items():
        points = torch.from_numpy(x).float()
        for level in levels_and_controls(test.hierarchy):
            score = measure_kept(means[layer], counts, points, fine, level)
            rows.append((epoch, layer, level.name, "test", "ncc", score, len(fine)))
        rank = measures.effective_rank(points)
        rows.append((epoch, layer, "all", "test", "effective_rank", rank, len(fine)))
    return rows


def _by_source(run: OtherRun, epoch: int, train: ImageSet, test: ImageSet) -> list[MeasureRow]:
    """What cannot be measured again without the network of that epoch, as the source has it."""
    found = run.results["epochs"][str(epoch)]
    layers = make_backbone(run.config.backbone, seed=0).layers
    rows: list[MeasureRow] = []
    images = {"train": len(train), "test": len(test)}
    for theirs, level in _THEIRS.items():
        for layer, pair in zip(layers, found["ncc_train_test_by_layer"][theirs], strict=True):
            for split, percent in zip(("train", "test"), pair, strict=True):
                if level in (RANDOM_IMAGE, SAMPLE) or split == "train":
                    n = (_VIEWS if level == SAMPLE else images)[split]
                    rows.append((epoch, layer, level, split, "ncc", _share(percent), n))
    for level in ("fine", "coarse"):
        for split, percent in zip(
            ("train", "test"), found["linear_train_test"][level], strict=True
        ):
            row = (epoch, layers[-1], level, split, "linear", _share(percent), images[split])
            rows.append(row)
    return rows


def _groupings(
    run: OtherRun, train: ImageSet, test: ImageSet, judged: Sequence[Level]
) -> Groupings:
    """Hits of the source's test images under groupings by looks, and further ones."""
    fine = test.fine[run.rows]

    def by_epoch() -> Iterator[tuple[int, dict[str, np.ndarray], dict[str, Tensor]]]:
        for epoch in run.epochs:
            features, means = run.features(epoch)
            points = {layer: torch.from_numpy(x).float() for layer, x in features.items()}
            yield epoch, means, points

    ends = run.epochs[0], run.epochs[-1]
    return measure_groupings(by_epoch(), train, fine, test.hierarchy.levels[1], judged, ends)


def _losses(run: OtherRun) -> dict[str, list[float]]:
    """The columns of losses.csv: the epoch, the terms, seconds so far."""
    names = list(run.results["loss_history_columns"])
    rows = np.array(run.results["loss_history"], np.float64)
    if rows.shape != (run.config.epochs, len(names)) or "total" not in names:
        raise _wrong(run.folder / RESULTS, f"loss_history is {rows.shape} with columns {names}")
    if not np.isfinite(rows[:, names.index("total")]).all():
        raise _wrong(run.folder / RESULTS, "loss_history has totals that are not finite")
    if "seconds" in names:
        rows[:, names.index("seconds")] = rows[:, names.index("seconds")].cumsum()
    columns = dict(zip(names, rows.T.tolist(), strict=True))
    return {"epoch": list(range(1, len(rows) + 1)), **columns}


def _described(
    run: OtherRun, train: ImageSet, test: ImageSet, config: MeasureConfig, device: torch.device
) -> dict[str, Any]:
    """What run.json has of such a run; of its code, its versions and its dates nothing is known."""
    seconds = float(run.results["train_seconds"])
    ends = f"{run.epochs[0]} and {run.epochs[-1]}"
    return {
        "digest": "",
        "config": run.config.as_dict(),
        "git": {"commit": None, "clean": False},
        "versions": {},
        "device": run.results["device"],
        "computed": run.config.precision,
        "start": None,
        "end": None,
        "complete": True,
        "epochs_done": run.config.epochs,
        "train_seconds": seconds,
        "wall_seconds": seconds,
        "seed": None,
        "data": about_data(train, test)
        | {"name": run.config.data, "whole_train_fingerprint": train.fingerprint},
        "measured": about_measuring(config, device)
        | {"computed": computed(run.config.precision, device)},
        "source": {
            "about": "trained by an independent implementation of the same recipe",
            "by": {
                WEIGHTS: f"epochs {ends}: by this package, from the network, of all images",
                FEATURES: f"by this package, from the features of {len(run.rows):,} test images "
                "and the class means of all training images that came with the run",
                SOURCE: "the source's own figure: nothing is there to measure it again",
            },
            "config": run.results["config"],
            "of the config by description alone": "views, projector_width, optim but for lr, "
            "precision, images_per_class: the recipe's, as this package has it",
            "sha256": dict(run.digests),
        },
    }


def _last_weights(run: OtherRun) -> dict[str, Tensor]:
    """The network's weights after training, in half precision as they came."""
    state = load_network(run.folder / LAST, run.config.backbone).exported_state()
    return {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in state.items()}
