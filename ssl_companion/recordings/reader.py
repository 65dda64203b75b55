"""What a recording holds: `Recording`.

What a recording is stands in its run.json; pandas and torch, which take seconds to import, are
imported where a table, features or weights are read.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors

from ssl_companion.data import Hierarchy
from ssl_companion.io.atomic import file_digest
from ssl_companion.io.tables import read_table
from ssl_companion.recordings.checks import check_run
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
    DamagedError,
    RecordingError,
    key,
)
from ssl_companion.recordings.wording import current_words, title_parts
from ssl_companion.training.config import run_config_from_dict

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from ssl_companion.training.backbones import Backbone

#: Measures that are accuracies, or as these.
_SHARES = ("ncc", "linear", "knn", "few5")


def _described(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {list(tensor.shape)}"


class Recording:
    """One training trajectory, written down.

    Attributes:
        path: the folder that it is in.
        name: the name of that folder.
        title: what the run is, in words.
        variant: the end of the title, what the run is among others of its kind.
        device: what it was trained on, in words.
        run: all of run.json.
        layers: tapped layers, first to last.
        epochs: the measured ones, ascending; 0 is before training.
        hierarchy: the levels above the fine classes.
        stand_in: True when the images were generated, not CIFAR-100.
        complete: False while an encoder is still trained, and more epochs may come.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.run: dict[str, Any] = json.loads((self.path / RUN).read_text("utf-8"))
            form = self.run.get("format")
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise self._unusable(RUN, f"cannot be read ({error})") from error
        if form != FORMAT:
            raise self._unusable(RUN, f"has format {form!r}, this version reads {FORMAT}")
        try:
            self.hierarchy: Hierarchy = check_run(self.run)
        except ValueError as error:
            raise self._unusable(RUN, str(error)) from error
        self.name: str = Path(os.path.abspath(self.path)).name  # also of "."
        self.title: str = current_words(self.run["title"])
        self.variant: str = title_parts(self.title)[1]
        self.device: str = current_words(self.run["device"])
        self.layers: tuple[str, ...] = tuple(self.run["layers"])
        self.epochs: tuple[int, ...] = tuple(self.run["epochs"])
        self.stand_in: bool = self.run["data"]["stand_in"]
        self.complete: bool = self.run.get("complete") is not False

    def __repr__(self) -> str:
        return f"Recording({self.name!r})"

    def _unusable(self, file: str, reason: str) -> DamagedError:
        run = getattr(self, "run", None)
        made_by = "import-run" if isinstance(run, dict) and "source" in run else "record"
        return DamagedError(
            f"{self.path / file}: {reason}; restore it from the repository, or make it again with "
            f"`ssl-companion {made_by}`"
        )

    def keeps(self, file: str) -> bool:
        """Whether a file of the format is one of this recording's: it is there, or should be."""
        return file in (self.run.get("sha256") or {}) or (self.path / file).exists()

    def file(self, name: str) -> Path:
        """The path of one of its files, once the content is what run.json has the SHA-256 of.

        The file is read for that when it is first asked for. Recordings from before digests were
        added have none, and their files are taken as they are.

        Raises:
            DamagedError: the file is absent or altered.
        """
        if name not in self._checked:
            if reason := self.fault(name):
                raise self._unusable(name, reason)
            self._checked.add(name)
        return self.path / name

    @functools.cached_property
    def _checked(self) -> set[str]:
        return set()

    def fault(self, name: str) -> str:
        """What is wrong with a file by its digest: "" where nothing is, or none is known."""
        try:
            found = file_digest(self.path / name)
        except OSError as error:
            return f"cannot be read ({error.strerror})"
        digests = self.run.get("sha256")
        if digests is None or digests.get(name) == found:
            return ""
        if name not in digests:
            return f"is not one of the files that {RUN} has the SHA-256 of"
        return f"altered, damaged or another's: SHA-256 {found}, not {digests[name]}"

    def open_files(self) -> None:
        """Read the tables and open the features now, while they are those of run.json.

        Raises:
            DamagedError: one is absent, altered or cannot be read.
        """
        tables = [self.measures, self.losses]
        if self.has_features:
            tables += [self._subset, self._file]

    def _table(self, file: str, columns: tuple[str, ...], unique: tuple[str, ...]) -> pd.DataFrame:
        """A table of measures, the cells looked at one by one."""
        path = self.file(file)
        try:
            whole = (columns[0], "n")
            text = [name for name in columns if name not in (*whole, "value")]
            table = read_table(path, text, whole, ["value"], unique)
            shares = table["measure"].isin(_SHARES) & ~table["value"].between(0, 1)
            if shares.any():
                row = table[shares].iloc[0]
                raise ValueError(
                    f"{row['measure']}: {row['value']:g} at {columns[0]} {row[columns[0]]}; "
                    "expected an accuracy in [0, 1]"
                )
            if (table["n"] < 1).any():
                raise ValueError(f"n: {table['n'].min()}; expected 1 or more")
        except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
            raise self._unusable(file, f"cannot be read ({error})") from error
        return table

    @functools.cached_property
    def losses(self) -> pd.DataFrame:
        """A row an epoch: epoch, total, the raw terms by name, lr, seconds so far."""
        path = self.file(LOSSES)
        try:
            return read_table(path, (), ["epoch"], ["total"], ["epoch"])
        except (OSError, ValueError) as error:
            raise self._unusable(LOSSES, f"cannot be read ({error})") from error

    @functools.cached_property
    def steps(self) -> pd.DataFrame:
        """The beginning of training, step by step: step, level, split, measure, value, n, of the
        last layer; step 0 is before training. No rows where no snapshots between epochs were kept.
        """
        if not self.keeps(STEPS):
            import pandas as pd

            return pd.DataFrame(columns=list(STEP_COLUMNS))
        return self._table(STEPS, STEP_COLUMNS, STEP_COLUMNS[:4])

    @functools.cached_property
    def measures(self) -> pd.DataFrame:
        """Tidy: epoch, layer, level, split, measure, value, n."""
        table = self._table(MEASURES, MEASURE_COLUMNS, MEASURE_COLUMNS[:5])
        for column, known in (("epoch", self.epochs), ("layer", self.layers)):
            if len(strange := table[column][~table[column].isin(known)]):
                said = f"{column}: {strange.iloc[0]}; expected one of {known}"
                raise self._unusable(MEASURES, f"cannot be read ({said})")
        return table

    def select(self, **where: Any) -> pd.DataFrame:
        """The rows of `measures` with these values: `select(measure="ncc", level="fine")`."""
        table = self.measures
        mask = np.ones(len(table), bool)
        for column, value in where.items():
            mask &= (table[column] == value).to_numpy()
        return table[mask]

    def value(self, epoch: int, layer: str, level: str, split: str, measure: str) -> float:
        """One value of `measures`; NaN if it was not measured."""
        return self._values.get((epoch, layer, level, split, measure), float("nan"))

    @functools.cached_property
    def _values(self) -> dict[tuple[Any, ...], float]:
        table = self.measures
        keys = zip(*(table[column].tolist() for column in MEASURE_COLUMNS[:5]), strict=True)
        return dict(zip(keys, table["value"].tolist(), strict=True))

    @functools.cached_property
    def _file(self) -> Any:
        if not self.has_features:
            raise RecordingError(f"{self.path}: keeps no features, only measures and losses")
        path = self.file(FEATURES)
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
        return self.keeps(FEATURES)

    @property
    def has_groupings(self) -> bool:
        """Whether hits under further groupings of classes were kept: see `groupings`."""
        return self.keeps(GROUPINGS_FILE)

    @property
    def has_group_accuracies(self) -> bool:
        """Whether accuracies under groupings of every level were kept: see `group_accuracies`."""
        return self.keeps(LEVELS_FILE)

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
        import torch

        from ssl_companion.recordings.quantised import dequantise

        layer = layer or self.layers[-1]
        name = key(epoch, layer, what)
        if name not in self._keys:
            raise RecordingError(
                f"{self.path}: keeps no {what!r} of epoch {epoch}, layer {layer!r}; epochs kept: "
                f"{self.kept_epochs(layer, what)}, layers: {self.layers}"
            )
        tensor = self._tensor(name)
        if tensor.dtype == torch.uint8:
            affine = self._tensor(name + ".affine")
            if affine.shape != (2, *tensor.shape[1:]) or not affine.is_floating_point():
                raise self._unusable(
                    FEATURES, f"{name}.affine: {_described(affine)}; expected an offset and a scale"
                )
            tensor = dequantise(tensor, affine)
        if not tensor.is_floating_point() or tensor.ndim != 2 or not tensor.isfinite().all():
            raise self._unusable(
                FEATURES, f"{name}: {_described(tensor)}; expected finite numbers [N, D]"
            )
        rows = self._rows_of(what)
        if rows is not None and len(tensor) != rows:
            raise self._unusable(FEATURES, f"{name}: {len(tensor)} rows; expected {rows}")
        array: np.ndarray = tensor.float().numpy()
        return array

    def _tensor(self, name: str) -> torch.Tensor:
        try:
            tensor: torch.Tensor = self._file.get_tensor(name)
        except (safetensors.SafetensorError, OSError, KeyError, TypeError, RuntimeError) as error:
            raise self._unusable(FEATURES, f"{name!r} cannot be read ({error})") from error
        return tensor

    def _rows_of(self, what: str) -> int | None:
        """How many rows there are of features of a kind; None where that is not fixed."""
        if what == "class_means":
            return self.hierarchy.level("fine").k
        split = {"sample_means": "sample"}.get(what, what)
        return len(self.fine(split)) if split in ("train", "test", "sample") else None

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
        if n == 0 or len(x) % n:
            raise self._unusable(FEATURES, f"has {len(x)} views of {n} images at epoch {epoch}")
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
        kept, k = self._tensor(name), self.hierarchy.level("fine").k
        whole = kept.ndim == 1 and not kept.is_floating_point() and not kept.is_complex()
        if not whole or not len(kept) or kept.min() < 0 or kept.max() >= k:
            raise self._unusable(
                FEATURES, f"{name}: {_described(kept)}; expected classes from 0 to {k - 1}"
            )
        predictions: np.ndarray = kept.numpy().astype(np.int64)
        return predictions

    @functools.cached_property
    def _subset(self) -> pd.DataFrame:
        path, k = self.file(SUBSET), self.hierarchy.level("fine").k
        try:
            table = read_table(path, ("split", "file"), ("row", "fine"), (), ("split", "row"))
            images = self.run["data"]
            most = {"test": images["test_images"]}
            for column, last in (
                ("fine", k), ("row", table["split"].map(most).fillna(images["train_images"]))
            ):  # fmt: skip
                if (bad := (table[column] < 0) | (table[column] >= last)).any():
                    raise ValueError(
                        f"{column}: {table.loc[bad, column].iloc[0]}; expected 0 to "
                        f"{(last if isinstance(last, int) else int(last[bad].iloc[0])) - 1}"
                    )
        except (OSError, ValueError) as error:
            raise self._unusable(SUBSET, f"cannot be read ({error})") from error
        return table

    def fine(self, split: str = "test") -> np.ndarray:
        """Fine labels of the kept images, int64 [N]; `split` is "test", "train" or "sample"."""
        return self._fine.get(split, np.empty(0, np.int64)).copy()

    @functools.cached_property
    def _fine(self) -> dict[str, np.ndarray]:
        table = self._subset
        return {
            split: table.loc[table["split"] == split, "fine"].to_numpy(np.int64)
            for split in table["split"].unique()
        }

    def rows(self, split: str = "test") -> np.ndarray:
        """Where the kept images stand in the data set's split, int64 [N]."""
        return self._subset.loc[self._subset.split == split, "row"].to_numpy(np.int64)

    def files(self, split: str = "test") -> np.ndarray:
        """File names of the kept images in the data set, str [N]."""
        return np.array(self._subset.loc[self._subset.split == split, "file"].tolist(), dtype=str)

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
        digest: str | None = (self.run.get("sha256") or {}).get(WEIGHTS)
        return digest

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
        import safetensors.torch
        import torch

        from ssl_companion.training.backbones import make_backbone

        config = run_config_from_dict(self.run["config"])
        with torch.device("meta"):  # its shapes alone: the weights are those of the file
            network = make_backbone(config.backbone, seed=config.seed)
        try:
            state = safetensors.torch.load_file(self.file(WEIGHTS))
        except (safetensors.SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise self._unusable(WEIGHTS, f"truncated or foreign ({error})") from error
        # A supervised run's classifier stands beside these, and is left there.
        own = network.exported_state()
        for name, tensor in own.items():
            there = state.get(name)
            if there is None or there.shape != tensor.shape or there.is_complex():
                raise self._unusable(
                    WEIGHTS, f"has no {name!r} {list(tensor.shape)} of a {config.backbone}"
                )
        state = {name: state[name].to(own[name].dtype, copy=True) for name in own}
        network.load_state_dict(state, assign=True)
        return network.eval().to(device).to(memory_format=torch.channels_last)
