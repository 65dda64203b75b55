"""Read recordings: `open_recording(name)`, `list_recordings()`."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch

from ssl_companion.data import Hierarchy, hierarchy_of
from ssl_companion.data.hierarchy import hierarchy_from_dict
from ssl_companion.io.atomic import file_digest
from ssl_companion.io.extras import checkout
from ssl_companion.recordings.format import (
    FEATURES,
    FORMAT,
    GROUPINGS_FILE,
    LEVELS_FILE,
    LOSSES,
    MEASURE_COLUMNS,
    MEASURES,
    RUN,
    STEP_COLUMNS,
    STEPS,
    SUBSET,
    WEIGHTS,
    RecordingError,
    dequantise,
    key,
)
from ssl_companion.training.backbones import Backbone, make_backbone
from ssl_companion.training.config import run_config_from_dict

ROOT_VARIABLE = "SSL_COMPANION_RECORDINGS"


def recordings_root(root: str | Path | None = None) -> Path:
    """Where recordings are, which need not be there yet.

    `root`, else the variable SSL_COMPANION_RECORDINGS, else `book/recordings` of the checkout that
    the package is imported from, else `recordings` in the working directory.
    """
    if root is not None:
        return Path(root)
    if named := os.environ.get(ROOT_VARIABLE):
        return Path(named)
    return book / "book/recordings" if (book := checkout()) else Path.cwd() / "recordings"


def where_the_books_are(root: str | Path | None = None) -> str:
    """For a message about a recording that is absent: that those of the book are elsewhere.

    Empty where somebody named the folder, and in a checkout, which has them.
    """
    if root is not None or os.environ.get(ROOT_VARIABLE) or checkout():
        return ""
    return (
        " The book's recordings come with a clone of its repository and not with the installed "
        f"package: name the clone's book/recordings (--root, or the variable {ROOT_VARIABLE})."
    )


def list_recordings(root: str | Path | None = None) -> list[Recording]:
    """All recordings under `root`, by name. Folders without a run.json do not count.

    Raises:
        RecordingError: there is no such folder.
    """
    folder = recordings_root(root)
    if not folder.is_dir():
        raise RecordingError(
            f"{folder}: there is no such folder; expected one of recordings (--root, or the "
            f"variable {ROOT_VARIABLE}).{where_the_books_are(root)}"
        )
    found = sorted(path.parent for path in folder.glob(f"*/{RUN}"))
    return [open_recording(path) for path in found if not path.name.startswith(".")]


def open_recording(name: str | Path, root: str | Path | None = None) -> Recording:
    """A recording by its name under `recordings_root(root)`, or by its path.

    Where a `root` is given, a bare name means what is there, whatever the working directory has.

    Raises:
        RecordingError: absent, truncated, foreign or of another format.
    """
    path, beneath = Path(name), recordings_root(root) / str(name)
    if not (path / RUN).exists() or (root is not None and len(path.parts) == 1):
        path = beneath
    if not (path / RUN).exists():
        folder = recordings_root(root)
        known = sorted(p.parent.name for p in folder.glob(f"*/{RUN}"))
        raise RecordingError(
            f"no recording {str(name)!r} in {folder}; known: {', '.join(known) or 'none'}. "
            f"`ssl-companion record` makes one.{where_the_books_are(root)}"
        )
    return Recording(path)


class Recording:
    """One training trajectory, written down.

    Attributes:
        path, name, title: where it is and what it is called.
        run: all of run.json.
        layers: tapped layers, first to last.
        epochs: the measured ones, ascending; 0 is before training.
        hierarchy: the levels above the fine classes.
        stand_in: True when the images were generated, not CIFAR-100.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.run: dict[str, Any] = json.loads((self.path / RUN).read_text())
            form = self.run.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise self._unusable(RUN, f"cannot be read ({error})") from error
        if form != FORMAT:
            raise self._unusable(RUN, f"has format {form!r}, this version reads {FORMAT}")
        self.name: str = self.path.name
        self.title: str = self.run["title"]
        self.layers: tuple[str, ...] = tuple(self.run["layers"])
        self.epochs: tuple[int, ...] = tuple(self.run["epochs"])
        self.hierarchy: Hierarchy = self._hierarchy()
        self.stand_in: bool = self.run["data"]["stand_in"]

    def __repr__(self) -> str:
        return f"Recording({self.name!r})"

    def _unusable(self, file: str, reason: str) -> RecordingError:
        run = getattr(self, "run", None)
        made_by = "import-run" if isinstance(run, dict) and "source" in run else "record"
        return RecordingError(
            f"{self.path / file}: {reason}; restore it from the repository, or make it again with "
            f"`ssl-companion {made_by}`"
        )

    def _hierarchy(self) -> Hierarchy:
        """That of the data set, or the one that came with labels of somebody's own."""
        data = self.run["data"]
        if "hierarchy" not in data:
            return hierarchy_of(data["name"])
        try:
            return hierarchy_from_dict(data["hierarchy"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._unusable(RUN, f"has no usable hierarchy ({error!r})") from error

    def _table(self, file: str, columns: tuple[str, ...]) -> pd.DataFrame:
        try:
            table = pd.read_csv(self.path / file)
        except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
            raise self._unusable(file, f"cannot be read ({error})") from error
        if missing := [name for name in columns if name not in table.columns]:
            raise self._unusable(file, f"has no column {missing[0]!r}")
        return table

    @functools.cached_property
    def losses(self) -> pd.DataFrame:
        """A row an epoch: epoch, total, the raw terms by name, lr, seconds so far."""
        return self._table(LOSSES, ("epoch", "total"))

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """The beginning of training, step by step: step, level, split, measure, value, n, of the
        last layer; step 0 is before training. No rows where no snapshots between epochs were kept.
        """
        if not (self.path / STEPS).exists():
            return pd.DataFrame(columns=list(STEP_COLUMNS))
        return self._table(STEPS, STEP_COLUMNS)

    @functools.cached_property
    def measures(self) -> pd.DataFrame:
        """Tidy: epoch, layer, level, split, measure, value, n."""
        table = self._table(MEASURES, MEASURE_COLUMNS)
        if table[["value", "n"]].isna().to_numpy().any():
            raise self._unusable(MEASURES, "has a row that is cut short")
        return table

    def select(self, **where: Any) -> pd.DataFrame:
        """The rows of `measures` with these values: `select(measure="ncc", level="fine")`."""
        table = self.measures
        for column, value in where.items():
            table = table[table[column] == value]
        return table

    @functools.cached_property
    def _file(self) -> Any:
        path = self.path / FEATURES
        if not path.exists():
            raise RecordingError(f"{self.path}: keeps no features, only measures and losses")
        try:
            return safetensors.safe_open(path, framework="pt")
        except (safetensors.SafetensorError, OSError) as error:
            raise self._unusable(FEATURES, f"truncated or foreign ({error})") from error

    @functools.cached_property
    def _keys(self) -> frozenset[str]:
        return frozenset(self._file.keys())

    @property
    def has_features(self) -> bool:
        """Whether features were kept at all."""
        return (self.path / FEATURES).exists()

    @property
    def has_groupings(self) -> bool:
        """Whether hits under further groupings of classes were kept: see `groupings`."""
        return (self.path / GROUPINGS_FILE).exists()

    @property
    def has_group_accuracies(self) -> bool:
        """Whether accuracies under groupings of every level were kept: see `group_accuracies`."""
        return (self.path / LEVELS_FILE).exists()

    @property
    def held_out(self) -> tuple[int, ...]:
        """The fine classes that were not trained on, of most recordings none."""
        return tuple(self.run["data"].get("held_out", ()))

    def kept_epochs(self, layer: str | None = None, what: str = "test") -> tuple[int, ...]:
        """Epochs with features of `layer` (by default the last).

        Args:
            layer: which.
            what: of the "test" or the "train" images, or "sample_views", "map_views".
        """
        layer = layer or self.layers[-1]
        return tuple(e for e in self.epochs if key(e, layer, what) in self._keys)

    def _get(self, epoch: int, layer: str | None, what: str) -> np.ndarray:
        layer = layer or self.layers[-1]
        name = key(epoch, layer, what)
        if name not in self._keys:
            raise RecordingError(
                f"{self.path}: keeps no {what!r} of epoch {epoch}, layer {layer!r}; epochs kept: "
                f"{self.kept_epochs(layer, what)}, layers: {self.layers}"
            )
        tensor = self._file.get_tensor(name)
        if tensor.dtype == torch.uint8:
            tensor = dequantise(tensor, self._file.get_tensor(name + ".affine"))
        array: np.ndarray = tensor.float().numpy()
        return array

    def features(self, epoch: int, layer: str | None = None, split: str = "test") -> np.ndarray:
        """Features of the kept images, float32 [N, D]; `split` is "test" or "train"."""
        return self._get(epoch, layer, split)

    def class_means(self, epoch: int, layer: str | None = None) -> np.ndarray:
        """Means of the fine classes over the run's whole training set, float32 [K, D]."""
        return self._get(epoch, layer, "class_means")

    def sample_means(self, epoch: int, layer: str | None = None) -> np.ndarray:
        """Means of many views of each sample-level image, float32 [images, D]."""
        return self._get(epoch, layer, "sample_means")

    def sample_views(self, epoch: int, layer: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Fresh views of the sample-level images: float32 [M, D], and whose they are, int64 [M]."""
        x = self._get(epoch, layer, "sample_views")
        n = len(self.sample_means(epoch, layer))
        return x, np.repeat(np.arange(n), len(x) // n)

    def map_views(self, epoch: int, layer: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Many views of a few images: float32 [M, D], and whose they are, int64 [M]."""
        x = self._get(epoch, layer, "map_views")
        n = min(self.run["measured"]["config"]["map_images"], len(self.fine("sample")))
        if n == 0 or len(x) % n:
            raise self._unusable(FEATURES, f"has {len(x)} views of {n} images at epoch {epoch}")
        return x, np.repeat(np.arange(n), len(x) // n)

    def target_epochs(self) -> tuple[int, ...]:
        """Epochs at which the run's predictions were kept as targets (none for most runs)."""
        if not self.has_features:
            return ()
        return tuple(e for e in self.epochs if key(e, "classifier", "targets.test") in self._keys)

    def targets(self, epoch: int, split: str = "test") -> np.ndarray:
        """Predicted classes of *all* images of a split, int64 [N], in the `ImageSet`'s order."""
        name = key(epoch, "classifier", f"targets.{split}")
        if name not in self._keys:
            raise RecordingError(
                f"{self.path}: keeps no targets of epoch {epoch}; kept: {self.target_epochs()}"
            )
        predictions: np.ndarray = self._file.get_tensor(name).numpy().astype(np.int64)
        return predictions

    @functools.cached_property
    def _subset(self) -> pd.DataFrame:
        return self._table(SUBSET, ("split", "row", "file", "fine"))

    def fine(self, split: str = "test") -> np.ndarray:
        """Fine labels of the kept images, int64 [N]; `split` is "test", "train" or "sample"."""
        return self._subset.loc[self._subset.split == split, "fine"].to_numpy(np.int64)

    def rows(self, split: str = "test") -> np.ndarray:
        """Where the kept images stand in the data set's split, int64 [N]."""
        return self._subset.loc[self._subset.split == split, "row"].to_numpy(np.int64)

    def files(self, split: str = "test") -> np.ndarray:
        """File names of the kept images in the data set, str [N]."""
        return self._subset.loc[self._subset.split == split, "file"].to_numpy(str)

    @property
    def class_counts(self) -> np.ndarray:
        """Images behind each class mean, int64 [K]."""
        data, k = self.run["data"], self.hierarchy.level("fine").k
        if "class_counts" in data:
            return np.asarray(data["class_counts"], np.int64)
        return np.full(k, data["train_images"] // k, np.int64)  # a balanced set

    @property
    def weights_path(self) -> Path | None:
        """The backbone's weights after the last epoch, if kept."""
        path = self.path / WEIGHTS
        return path if path.exists() else None

    @property
    def weights_digest(self) -> str | None:
        """SHA-256 of the weights' file as run.json has it, in recordings since that was added."""
        digests = self.run.get("sha256")
        return digests.get(WEIGHTS) if isinstance(digests, dict) else None

    def backbone(self, device: torch.device | str = "cpu") -> Backbone:
        """The network after the last epoch, in evaluation mode, from its kept weights.

        They were kept in half precision, so what it says of an image differs from what was
        measured by as much as that rounding does.

        Args:
            device: where the network will be.

        Raises:
            RecordingError: the recording keeps no weights, they cannot be read, or they are not
                those that run.json has the digest of.
        """
        if self.weights_path is None:
            raise RecordingError(
                f"{self.path}: keeps no weights; `list_recordings()` gives those there are, and "
                "`weights_path` is None for those without"
            )
        config = run_config_from_dict(self.run["config"])
        with torch.device("meta"):  # its shapes alone: the weights are those of the file
            network = make_backbone(config.backbone, seed=config.seed)
        try:
            state = safetensors.torch.load_file(self.weights_path)
        except (safetensors.SafetensorError, OSError) as error:
            raise self._unusable(WEIGHTS, f"truncated or foreign ({error})") from error
        # A supervised run's classifier stands beside these, and is left there.
        own = network.exported_state()
        for name, tensor in own.items():
            if name not in state or state[name].shape != tensor.shape:
                raise self._unusable(
                    WEIGHTS, f"has no {name!r} {list(tensor.shape)} of a {config.backbone}"
                )
        found, said = file_digest(self.weights_path), self.weights_digest
        if said not in (None, found):
            raise self._unusable(WEIGHTS, f"damaged or another's: SHA-256 {found}, not {said}")
        state = {name: state[name].to(own[name].dtype, copy=True) for name in own}
        network.load_state_dict(state, assign=True)
        return network.eval().to(device).to(memory_format=torch.channels_last)
