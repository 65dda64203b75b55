"""Synthetic recordings: features whose clusters are made, written with the package's own pieces."""

from __future__ import annotations

import functools
import gc
import json
import resource
import shutil
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.neighbors import KNeighborsClassifier

from ssl_companion.data import ImageSet, fingerprint
from ssl_companion.data.hierarchy import GLYPHS100, random_grouping
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording, open_recording
from ssl_companion.recordings.config import Subsets
from ssl_companion.recordings.format import (
    FORMAT,
    MEASURE_COLUMNS,
    RANDOM_IMAGE,
    MeasureRow,
    key,
)
from ssl_companion.recordings.groupings import PIXELS, WHITENED
from ssl_companion.recordings.looks import LOOKS_FILE, Looks, write_looks
from ssl_companion.recordings.measuring import levels_and_controls, shuffled_labels
from ssl_companion.recordings.quantised import quantise
from ssl_companion.training.config import RunConfig

PER_CLASS = {"train": 12, "test": 10}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", metavar="I/N", help="one of N shares of the tests: the I-th from 0")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what other shares have."""
    if not (share := config.getoption("--share")):
        return
    which, of = map(int, share.split("/"))
    mine = [item for item in items if zlib.crc32(item.nodeid.encode()) % of == which % of]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(mine)])
    items[:] = mine


def pytest_collection_finish() -> None:
    """What stands for the whole session is not looked through again whenever garbage is."""
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@dataclass(frozen=True)
class Story:
    """What happens in a synthetic run.

    Attributes:
        kind: "clusters" (class clusters grow with epochs and depth), "untrained" (every epoch
            is epoch 0), "collapsed" (all images run onto one line and the classes are lost)
            or "permuted" (clusters grow, but the labels are permuted among the images).
        strength: of the class centres at the end, against noise of one.
        seed: of the network; the images are those of seed 0 always.
        epochs: measured ones.
        features: keep features.
        layers: how many; a rank correlation over three says little.
    """

    kind: str = "clusters"
    strength: float = 1.0
    seed: int = 0
    epochs: tuple[int, ...] = (0, 1, 4, 20)
    features: bool = True
    layers: int = 3

    @property
    def names(self) -> tuple[str, ...]:
        return ("stem", *(f"block{i}" for i in range(1, self.layers)))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _one_thread_again() -> Iterator[None]:
    """Two processes of two threads each, on two cores, take several times as long."""
    yield
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_arrives() -> None:
    """A shell starts what runs in the background with Ctrl-C ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def halved(images: ImageSet) -> ImageSet:
    """Every other row and column of the pixels: components of so few are found in no time."""
    pixels = np.ascontiguousarray(images.images[:, :, ::2, ::2])
    pixels.flags.writeable = False
    own = fingerprint(pixels, images.fine)
    return replace(images, images=pixels, fingerprint=own)


def unseal(folder: Path) -> None:
    """Make a recording one from before digests were added, whose files may be changed."""
    about = json.loads((folder / "run.json").read_text())
    del about["sha256"]
    (folder / "run.json").write_text(json.dumps(about))


@contextmanager
def small_disk(limit: int) -> Iterator[None]:
    """No file can grow beyond `limit` bytes: writing more fails like a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


Write = Callable[..., Recording]


@pytest.fixture(scope="session")
def write_synthetic(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """`write(name, root=None, **story)` writes a recording folder and opens it."""
    shared, told = tmp_path_factory.mktemp("synthetic"), tmp_path_factory.mktemp("told")
    first: dict[Story, Path] = {}

    def write(name: str, root: Path | None = None, **about: object) -> Recording:
        story, folder = Story(**about), (root or shared) / name  # type: ignore[arg-type]
        same = replace(story, seed=0, strength=1.0) if story.kind == "untrained" else story
        if same not in first:
            first[same] = told / str(len(first))
            _write(first[same], same)
        shutil.copytree(first[same], folder)
        (folder / "run.json").write_text(json.dumps(_described(folder.name, story)))
        if not (folder.parent / LOOKS_FILE).exists():
            write_looks(folder.parent / LOOKS_FILE, _looks())
        return open_recording(folder)

    return write


def _write(folder: Path, story: Story) -> None:
    """All but what the run is called."""
    world = _World(story)
    rows: list[MeasureRow] = []
    tensors: dict[str, torch.Tensor] = {}
    for epoch in story.epochs:
        for depth, layer in enumerate(story.names):
            x = {split: world.features(epoch, depth, split) for split in ("train", "test")}
            rows += _ncc_rows(epoch, layer, x, world.sets)
            if layer == story.names[-1] and epoch in (story.epochs[0], story.epochs[-1]):
                rows += world.probes(epoch, layer, x)
            if story.features:
                world.keep(tensors, epoch, layer, x)
        rows += world.sample_level(tensors, epoch)
    folder.mkdir(parents=True)
    table = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
    table.to_csv(folder / "measures.csv.gz", index=False)
    last = np.arange(1, story.epochs[-1] + 1)
    losses = {"epoch": last, "total": 30 / last, "invariance": 0.1 + last / 100,
              "variance": 1 / last, "covariance": 2 / last, "lr": 0.1, "seconds": last}  # fmt: skip
    pd.DataFrame(losses).to_csv(folder / "losses.csv", index=False)
    if story.features:
        world.subset().to_csv(folder / "subset.csv.gz", index=False)
        safetensors.torch.save_file(tensors, folder / "features.safetensors")


@functools.cache
def _looks() -> Looks:
    """Classes that are said to look alike, by lot: in these worlds images have no looks."""
    groups = {
        (level.name, kind): np.stack([
            random_grouping(level, 500 + 10 * i + s).of_fine for s in range(5)
        ])
        for level in GLYPHS100.levels[1:]
        for i, kind in enumerate((PIXELS, WHITENED))
    }  # fmt: skip
    return Looks("synthetic", groups)


def _ncc_rows(
    epoch: int, layer: str, x: dict[str, torch.Tensor], sets: dict[str, ImageSet]
) -> list[MeasureRow]:
    rows, both = [], sets.values()
    labels = {level.name: [level.labels(images.fine) for images in both]
              for level in levels_and_controls(GLYPHS100)}  # fmt: skip
    labels[RANDOM_IMAGE] = [shuffled_labels(images) for images in both]
    for level, (y, z) in labels.items():
        score = NearestCentroid().fit(x["train"], y).score(x["test"], z)
        rows.append((epoch, layer, level, "test", "ncc", score, len(z)))
    return rows


def run_json(config: RunConfig, **own: Any) -> dict[str, Any]:
    """All that run.json of a recording has to have, for a run of this configuration.

    Args:
        config: the run's.
        own: other fields, or others of "data".
    """
    data = {
        "name": config.data, "title": "synthetic", "stand_in": True, "train_images": 100,
        "test_images": 100, "train_fingerprint": "synthetic", "test_fingerprint": "synthetic",
        "whole_train_fingerprint": "synthetic",
    }  # fmt: skip
    return {
        "format": FORMAT, "config": config.as_dict(), "digest": config.digest(),
        "seed": config.seed, "device": "CPU", "versions": {}, "end": None, "train_seconds": 1.0,
        "wall_seconds": 1.0, "git": {"commit": None, "clean": False}, "layers": ["last"],
        "measured": {"device": "CPU", "git": {"commit": None},
                     "config": {"map_images": 5, "keep_test": 20, "keep_train": 10}},
        **own, "data": data | own.get("data", {}),
    }  # fmt: skip


def _described(name: str, story: Story) -> dict[str, Any]:
    last = story.epochs[-1]
    config = RunConfig(backbone="res-1-4", data="glyphs100", epochs=last, seed=story.seed)
    images = {f"{split}_images": 100 * n for split, n in PER_CLASS.items()}
    return run_json(
        config, name=name, title=f"Synthetic; {story.kind}", layers=list(story.names),
        epochs=list(story.epochs), data=images,
    )  # fmt: skip


class _World:
    """Images as random vectors, and what a network of the story makes of them."""

    dims, samples, views = 16, 100, 12

    def __init__(self, story: Story) -> None:
        self.story = story
        rng = np.random.default_rng(0)
        coarse = GLYPHS100.level("coarse").of_fine
        upper = [rng.normal(size=(GLYPHS100.level(n).k, self.dims)) for n in GLYPHS100.names[1:]]
        self.centres = rng.normal(size=(100, self.dims)) + upper[0][coarse]
        for name, own in zip(GLYPHS100.names[2:], upper[1:], strict=True):
            self.centres += 1.5 * own[GLYPHS100.level(name).of_fine]
        self.centres[:, self.dims // 2 :] = 0  # classes differ in half of the dimensions
        self.true = {split: np.repeat(np.arange(100), n) for split, n in PER_CLASS.items()}
        self.own = {split: rng.normal(size=(len(y), self.dims)) for split, y in self.true.items()}
        self.line = rng.normal(size=self.dims)
        labels = {split: y.copy() for split, y in self.true.items()}
        if story.kind == "permuted":
            labels = {s: rng.permutation(y) for s, y in labels.items()}
        self.sets = {split: _images(split, y) for split, y in labels.items()}
        n = np.arange(len(self.true["train"]))
        sample = n[:: len(n) // self.samples][: self.samples]
        self.subsets = Subsets(
            train=n, test=np.arange(len(self.true["test"])), sample=sample,
            kept=np.arange(self.samples),
        )  # fmt: skip

    def _progress(self, epoch: int) -> float:
        if self.story.kind == "untrained":
            return 0.0
        return float(np.log1p(epoch) / np.log1p(self.story.epochs[-1]))

    def _through(self, x: np.ndarray, y: np.ndarray, epoch: int, depth: int) -> np.ndarray:
        """What the network makes of images x of true classes y."""
        t, deep = self._progress(epoch), (depth + 1) / self.story.layers
        if self.story.kind == "collapsed":
            pulled = (0.15 * self.centres[y] + x) * (1 - 0.97 * t * deep)
            return pulled + 5 * t * deep * (x @ self.line)[:, None] * self.line / len(self.line)
        strength = 0.15 + (self.story.strength - 0.15) * t * deep
        x = x * (1 - 0.6 * self.story.strength * t * deep)
        jitter = np.random.default_rng([self.story.seed, epoch, depth]).normal(size=x.shape)
        jitter *= 0.0 if self.story.kind == "untrained" else 0.05
        return strength * self.centres[y] + x + jitter

    def features(self, epoch: int, depth: int, split: str) -> torch.Tensor:
        x = self._through(self.own[split], self.true[split], epoch, depth)
        return torch.from_numpy(x).float()

    def probes(self, epoch: int, layer: str, x: dict[str, torch.Tensor]) -> list[MeasureRow]:
        train, test = self.sets["train"], self.sets["test"]
        one_hot = np.eye(100)[train.fine]
        weights = np.linalg.lstsq(_with_one(x["train"]), one_hot, rcond=None)[0]
        accuracy = float(((_with_one(x["test"]) @ weights).argmax(axis=1) == test.fine).mean())
        neighbours = KNeighborsClassifier(10).fit(x["train"], train.fine)
        found = float(neighbours.score(x["test"], test.fine))
        return [
            (epoch, layer, "fine", "test", "linear", accuracy, len(test)),
            (epoch, layer, "fine", "test", "knn", found, len(test)),
        ]

    def keep(
        self, tensors: dict[str, torch.Tensor], epoch: int, layer: str, x: dict[str, torch.Tensor]
    ) -> None:
        means = NearestCentroid().fit(x["train"], self.sets["train"].fine).centroids_
        tensors[key(epoch, layer, "class_means")] = torch.from_numpy(means).half()
        for split in ("train", "test"):
            self._put(tensors, key(epoch, layer, split), x[split])

    @staticmethod
    def _put(tensors: dict[str, torch.Tensor], name: str, x: torch.Tensor) -> None:
        tensors[name], tensors[name + ".affine"] = quantise(x)

    def sample_level(self, tensors: dict[str, torch.Tensor], epoch: int) -> list[MeasureRow]:
        """Views scatter about their image, and less so as training goes on."""
        rows, fresh = self.subsets.sample, 2
        y = self.true["train"][rows].repeat(self.views + fresh)
        noise = np.random.default_rng(1).normal(size=(len(y), self.dims))
        wide = 1.5 - 1.2 * self._progress(epoch)
        x = self.own["train"][rows].repeat(self.views + fresh, axis=0) + wide * noise
        out = torch.from_numpy(self._through(x, y, epoch, self.story.layers - 1)).float()
        out = out.reshape(self.samples, -1, self.dims)
        fit, test = out[:, : self.views], out[:, self.views :].reshape(-1, self.dims)
        means = fit.mean(dim=1)
        if self.story.features:
            tensors[key(epoch, self.story.names[-1], "sample_means")] = means.half()
            self._put(tensors, key(epoch, self.story.names[-1], "sample_views"), test)
            many = fit[:5].reshape(-1, self.dims)
            self._put(tensors, key(epoch, self.story.names[-1], "map_views"), many)
        z = torch.arange(self.samples).repeat_interleave(fresh)
        score = NearestCentroid.from_centroids(means).score(test, z)
        return [(epoch, self.story.names[-1], "sample", "test", "ncc", score, len(z))]

    def subset(self) -> pd.DataFrame:
        parts = []
        for split, rows in (("train", self.subsets.train), ("test", self.subsets.test),
                            ("sample", self.subsets.sample)):  # fmt: skip
            images = self.sets["test" if split == "test" else "train"]
            parts.append(pd.DataFrame({"split": split, "row": rows, "file": images.files[rows],
                                       "fine": images.fine[rows]}))  # fmt: skip
        return pd.concat(parts)


def _with_one(x: torch.Tensor) -> np.ndarray:
    return np.column_stack([x.double().numpy(), np.ones(len(x))])


def _images(split: str, fine: np.ndarray) -> ImageSet:
    pixels = np.zeros((len(fine), 3, 32, 32), np.uint8)
    files = np.array([f"{split}-{i}.png" for i in range(len(fine))])
    return ImageSet("synthetic", split, fine, files, "synthetic", GLYPHS100, True, images=pixels)
