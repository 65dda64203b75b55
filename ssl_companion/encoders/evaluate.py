"""Measure your own encoder with the measures of this book: `measure_encoder`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ssl_companion import measures
from ssl_companion.data.hierarchy import RANDOM, random_grouping
from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.encoding import Encoded, encode
from ssl_companion.encoders.inputs.hierarchies import HierarchyLike
from ssl_companion.encoders.inputs.labelled import Labelled, Labels
from ssl_companion.encoders.inputs.sources import SIZE, ImageSource
from ssl_companion.encoders.running.runner import Encoder, Runner, Running
from ssl_companion.encoders.subsets import Rows, balanced_subset, random_subset
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import ClassStatistics, Interval, _checks
from ssl_companion.measures._torch_state import plain_torch
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings.group_accuracies import class_products, hits_by_products
from ssl_companion.recordings.measuring import (
    OF_CLASSES,
    OF_FEATURES,
    AtLevel,
    only_if_defined,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

MEASURES = ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")
#: Measured when they are asked for; `catalogue.CATALOGUE` says what each of them is.
FURTHER_MEASURES = tuple(name for name in CATALOGUE if name not in MEASURES)
#: As `which`, every measure; as a level, all images without their labels.
ALL = "all"
PERMUTED, LOOKS = "permuted", "looks-"
#: So many permutations of the labels, and so many random groupings of the classes at each level.
CONTROLS = 20
_DRAWS = 100  # of test labels, or of test images, for each of these
_SCATTERED = ("nc1", "nc2_equinorm", "nc2_equiangular", "nc3")  # these take N D^2, others N D
_PRODUCTS = 2**24  # of images with class means, held at a time: 128 MB
_COLUMNS = ["layer", "level", "split", "measure", "value", "low", "high", "n", "n_fit"]


def measure_encoder(
    encoder: Encoder | None,
    images: ImageSource | Labelled,
    labels: Labels | None = None,
    *,
    test_images: ImageSource | Labelled | None = None,
    test_labels: Labels | None = None,
    hierarchy: HierarchyLike | None = None,
    size: int = SIZE,
    which: str | Sequence[str] = MEASURES,
    subset_size: int = 50_000,
    seed: int = 0,
    progress: bool = False,
    **running: Unpack[Running],
) -> pd.DataFrame:
    """How clustered an encoder's features are: a tidy table, one row a measure.

    Class means, CDNV, NC1 and probes are of the training images, accuracies of the test images.
    Every measure is that of `ssl_companion.measures`, as in the recordings of the book.

    There are three kinds of controls, of NCC accuracy alone. At the level "permuted" the finest
    labels are in another order, of training and of test images, so that they say nothing of them
    (Ojala and Garriga 2010, jmlr.org/papers/v11/ojala10a.html): what chance gives. At
    "random-<level>" the classes are in random groups of the level's sizes: what groups give that
    mean nothing. At "looks-<level>", where `images` is an array of images, they are in groups of
    these sizes whose mean images are alike (`looks.groups_by_looks`): what groups give that look
    alike and mean nothing. The value is the mean over 20 permutations, 20 random groupings or 10
    by looks. Between low and high lie 95% of what a single one gives, also with other test images:
    one permutation by itself may give anything where classes are few.

    Example:
        >>> rng, y = np.random.default_rng(0), np.repeat([0, 1, 2], 40)
        >>> features = rng.normal(size=(120, 8)) + 9 * np.eye(8)[y]
        >>> table = measure_encoder(None, features, y, which="ncc")
        >>> table["level"].tolist(), float(table["value"][0])
        (['labels', 'permuted'], 1.0)

    Args:
        encoder: a module (put into evaluation mode for the call, and found on its device) or
            any function that takes float images [n, 3, H, W] and returns vectors [n, D], maps
            [n, D, h, w] (their spatial mean is taken), tokens [n, T, D] (with `pool`) or a
            dictionary of such by layer; None when `images` are features [N, D] already. A
            function around a module hides the module's mode and device: hand over the module,
            and `layers` or `outputs`. `by_name.load_encoder` finds one by its name.
        images: an array, tensor or memory map, which is read batch by batch; an `ImageSet`; a
            `DataLoader`, a data set of torch or of Hugging Face, or an iterable of batches of
            images and labels; the path of a folder with a sub-folder for each class, or of a file
            (see `sources.image_stream`). Bytes become `augmentation.normalise(x / 255)`; floats
            keep their values, in the precision of the module's parameters (float32 for a
            function).
        labels: integers [N], 0 to K-1, or text, or a table with a column for each level (see
            `labels.class_labels`); None where `images` brings its own.
        test_images, test_labels: held-out ones, of any source; None splits the features of
            `images` in halves, class by class.
        hierarchy: upper levels of the classes: a `Hierarchy`, a dictionary, paths or a table (see
            `hierarchies.as_hierarchy`); None takes that of the images or of the labels.
        size: height and width, in pixels, that pictures of a folder or of PIL are brought to.
        which: of `MEASURES` and `FURTHER_MEASURES`, one name or several, or "all"; what they are
            says `catalogue.CATALOGUE`.
        subset_size: the most images for what would take too long on more. The linear probe and
            the nearest neighbours use at most so many training images, equally many of each
            class, and at most so many test images, drawn at random. The controls use the same
            images; spectra and uniformity use these test images. NCC accuracy, CDNV, NC1 and NC2
            always use all images.
        seed: of the split, the subset, the permutations, the random groupings and the bootstrap.
        progress: show a progress bar.
        **running: how the encoder is run: preprocess, layers, outputs, pool, batch and device; see
            `runner.Running`.

    Returns:
        layer, level, split, measure, value, low, high, n (images that the value is of), n_fit
        (training images behind it, 0 where there are none). Accuracies are fractions; low and
        high (95%, bootstrap over images but for controls) are NaN where there is no interval. A
        measure that is not defined, as CDNV of an encoder that says the same of every image, is
        NaN.

    Raises:
        ValueError: bad images, labels or outputs of the encoder; the message says which.
        EncoderError: the encoder itself failed, or `preprocess` or `outputs`.
        SourceError: what gives the images failed.
        DataError: a folder or a file that will not do.
    """
    which, seed = known_measures(which), _checks.at_least(seed, 0, "seed")
    subset_size = _checks.at_least(subset_size, 1, "subset_size")
    run = Runner(encoder, progress=progress, **running)
    given, held_out = Labelled.of(images, labels), Labelled.of(test_images, test_labels)
    found = encode(run, given, held_out, hierarchy, seed=seed, size=size)
    return measure_encoded(found, which, subset_size=subset_size, seed=seed)


def measure_encoded(
    found: Encoded,
    which: str | Sequence[str] = MEASURES,
    *,
    subset_size: int = 50_000,
    seed: int = 0,
) -> pd.DataFrame:
    """What `measure_encoder` measures, of features that `encode` made.

    Example:
        >>> sides = Labelled(np.eye(3).repeat(4, 0), np.arange(3).repeat(4)), Labelled(None)
        >>> table = measure_encoded(encode(Runner(None), *sides), "ncc")
        >>> table["level"].tolist(), float(table["value"][0])
        (['labels', 'permuted'], 1.0)

    Args:
        found: features and labels of training and test images.
        which, subset_size, seed: as in `measure_encoder`.

    Raises:
        ValueError: an unknown measure, a subset below 1 or a negative seed.
    """
    which, seed = known_measures(which), _checks.at_least(seed, 0, "seed")
    subset_size = _checks.at_least(subset_size, 1, "subset_size")
    train, test, y, z = found.train, found.test, found.y, found.z
    levels = found.hierarchy.levels if found.hierarchy else ()
    labels_at = {level.name: (level.labels(y), level.labels(z)) for level in levels}
    subset = balanced_subset(y, subset_size, seed), random_subset(len(z), subset_size, seed)
    controls = _groupings(found, seed) if "ncc" in which else {}
    rows: list[dict[str, object]] = []
    for layer in train:
        at = _at_levels(train[layer], test[layer], labels_at or {"labels": (y, z)}, subset, which)
        finest = next(iter(at.values()))
        for level, here in ({ALL: finest} | at).items():
            for measure in which:
                if (CATALOGUE[measure].of == "features") is (level == ALL):
                    value = _value(here, measure, seed)
                    rows.append(_row(layer, level, measure, value, *here.sizes(measure)))
        if "ncc" in which:
            n, n_fit = finest.sizes("linear")  # those of the subset
            for name, groups in controls.items():
                value = _in_groups(finest.few, groups, seed)
                rows.append(_row(layer, name, "ncc", value, n, len(y)))
            rows.append(_row(layer, PERMUTED, "ncc", _permuted(finest.few, seed), n, n_fit))
    return pd.DataFrame(rows, columns=_COLUMNS)


def known_measures(which: str | Sequence[str]) -> tuple[str, ...]:
    """The measures that were asked for, by one name or several; "all" stands for every one.

    Example:
        >>> known_measures("ncc"), known_measures("all") == (*MEASURES, *FURTHER_MEASURES)
        (('ncc',), True)

    Raises:
        ValueError: there is none of such a name.
    """
    asked = (which,) if isinstance(which, str) or not isinstance(which, Iterable) else tuple(which)
    known = (*MEASURES, *FURTHER_MEASURES)
    unknown = [name for name in asked if name not in (*known, ALL)]
    if unknown or not asked:
        said = repr(unknown[0])[:60] if unknown else "none"
        raise ValueError(f"which: {said}; expected some of {', '.join(known)}, or {ALL!r}")
    return known if ALL in asked else asked


@dataclass(frozen=True, eq=False)
class _Here:
    """Features under one labelling.

    Attributes:
        x, x_test: of all N training and M test images.
        y, y_test: int64 [N] and [M].
        few: a subset of both, for what would take too long of all; its `classes` are of all
            training images nevertheless.
    """

    x: Rows
    y: np.ndarray
    x_test: Rows
    y_test: np.ndarray
    few: AtLevel

    def sizes(self, measure: str) -> tuple[int, int]:
        """Images that a value is of, and training images behind it."""
        n, n_few, m_few = len(self.y), len(self.few.y), len(self.few.y_test)
        by_kind = {"accuracy": (m_few, n_few), "classes": (n, n), "features": (m_few, 0)}
        of_its_own = {"ncc": (len(self.y_test), n), "nc3": (n, n_few), "nc4": (n_few, n_few)}
        return of_its_own.get(measure, by_kind[CATALOGUE[measure].of])

    @cached_property
    def linear(self) -> measures.LinearProbe:
        """The linear probe, fitted once for its accuracy, NC3 and NC4."""
        return measures.LinearProbe().fit(self.few.x, self.few.y)

    @cached_property
    def classifier(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights [K, D] and bias [K] of the linear probe, for features as they come, divided by
        the largest weight."""
        largest = np.abs(self.linear.weight_).max()
        if largest == 0:
            raise UndefinedMeasure("linear probe: all weights 0; expected features that vary")
        return self.linear.weight_ / largest, self.linear.bias_ / largest

    def predicted(self, measure: str) -> tuple[Tensor | np.ndarray, np.ndarray]:
        """Classes that a rule gives test images, and those that they have."""
        if measure != "ncc":
            rule = self.linear if measure == "linear" else self.few.rule(measure)
            return rule.predict(self.few.x_test), self.few.y_test
        rule = self.few.rule("ncc")
        found = (rule.predict(rows) for _, rows in self.x_test.batches())
        return torch.cat([one for one in found if isinstance(one, Tensor)]), self.y_test

    def batches(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        """All training images, once more."""
        return ((rows, self.y[at]) for at, rows in self.x.batches())


def _nc3(here: _Here) -> float:
    found = measures.neural_collapse_of(here.few.classes, here.classifier[0]).nc3
    assert found is not None
    return found


_OF_CLASSES: dict[str, Callable[[_Here], float]] = {
    "directional_cdnv": lambda here: measures.directional_cdnv_of(here.few.classes, here.batches()),
    "nc3": _nc3,
    "nc4": lambda here: measures.nc4(here.few.x, here.few.classes.means, *here.classifier),
}
# Not in the recordings' own tables, which decide what a recording holds.
_OF_FEATURES: dict[str, Callable[[Tensor], float]] = {
    **OF_FEATURES,
    "participation_ratio": measures.participation_ratio,
    "uniformity": measures.uniformity,
}


def _at_levels(
    x: Rows,
    x_test: Rows,
    labels: Mapping[str, tuple[np.ndarray, np.ndarray]],
    subset: tuple[np.ndarray, np.ndarray],
    which: Sequence[str],
) -> dict[str, _Here]:
    """One layer's features under labels of training and test images, by level."""
    few = x.take(subset[0]), x_test.take(subset[1])
    # All images are looked at, and the scatter is taken, only where a measure needs it.
    looks = any(measure == "ncc" or CATALOGUE[measure].of == "classes" for measure in which)
    scattered = any(measure in _SCATTERED for measure in which)
    found = {}
    for level, (y, z) in labels.items():
        classes = ClassStatistics("full" if scattered else "trace", int(y.max()) + 1)
        for at, rows in x.batches() if looks else ():
            classes.update(rows, y[at])
        here = AtLevel.of((few[0], y[subset[0]]), (few[1], z[subset[1]]), classes)
        found[level] = _Here(x, y, x_test, z, here)
    return found


@plain_torch()
def _permuted(fine: AtLevel, seed: int) -> Interval:
    """NCC accuracy under labels in another order, those of training and of test images."""
    # Of any scale and offset, so that single precision will do.
    scale = fine.x.abs().max().clamp(min=torch.finfo(fine.x.dtype).tiny)
    centre = (fine.x / scale).mean(dim=0)
    x, x_test = ((part / scale - centre).float() for part in (fine.x, fine.x_test))
    sizes = torch.from_numpy(np.bincount(fine.y)).to(x.device)[:, None]
    rng, scores = np.random.default_rng(seed), []
    for _ in range(CONTROLS):
        y = torch.from_numpy(rng.permutation(fine.y)).to(x.device)
        sums = torch.zeros(len(sizes), x.shape[1], device=x.device, dtype=x.dtype)
        means = sums.index_add_(0, y, x) / sizes
        # The nearest mean m has the largest <x, m> - |m|^2 / 2.
        nearest = (x_test @ means.T - means.square().sum(dim=1) / 2).argmax(dim=1).cpu().numpy()
        z = rng.permuted(np.tile(fine.y_test, (_DRAWS, 1)), axis=1)
        scores.append((z == nearest).mean(axis=1))
    return interval(float(np.mean(scores)), np.concatenate(scores))


@plain_torch()
def _groupings(found: Encoded, seed: int) -> dict[str, np.ndarray]:
    """Groups of the classes of every upper level's sizes, at random and by looks: int64 [G, K]."""
    groups, by_looks = {}, found.by_looks(seed)
    for level in found.hierarchy.levels[1:] if found.hierarchy else ():
        drawn = [random_grouping(level, seed + i).of_fine for i in range(CONTROLS)]
        groups[RANDOM + level.name] = np.stack(drawn)
        if level.name in by_looks:
            groups[LOOKS + level.name] = by_looks[level.name]
    return groups


def _in_groups(fine: AtLevel, groups: np.ndarray, seed: int) -> Interval:
    """NCC accuracy in each of several groupings of the classes [G, K]."""
    means, counts = fine.classes.means, fine.classes.counts.cpu().numpy()
    gram = class_products(means, means)
    n, hits = len(fine.y_test), np.zeros(len(groups))
    for start in range(0, n, step := max(1, _PRODUCTS // len(means))):
        at = slice(start, start + step)
        products = class_products(fine.x_test[at], means)
        found = hits_by_products(products, gram, fine.y_test[at], counts, groups)
        hits += found.sum(axis=1)
    scores = hits / n
    # Whether each of other images is a hit.
    drawn = np.random.default_rng(seed).binomial(n, scores, (_DRAWS, len(groups))) / n
    return interval(float(scores.mean()), drawn.ravel())


def _value(here: _Here, measure: str, seed: int) -> Interval:
    """One measure at one level; accuracies with their intervals."""
    value = Interval(float("nan"), float("nan"), float("nan"))
    # Features and labels are known to be good: a refusal means that these features have no such
    # measure (means that coincide, rows of zeros).
    with only_if_defined():
        if CATALOGUE[measure].of == "accuracy":
            return measures.bootstrap_accuracy(*here.predicted(measure), seed=seed)
        if measure in _OF_FEATURES:
            return replace(value, value=_OF_FEATURES[measure](here.few.x_test))
        if measure in OF_CLASSES:
            return replace(value, value=OF_CLASSES[measure](here.few))
        return replace(value, value=_OF_CLASSES[measure](here))
    return value


def _split(measure: str) -> str:
    return "train" if CATALOGUE[measure].of == "classes" else "test"


def _row(
    layer: str, level: str, measure: str, value: Interval, n: int, n_fit: int
) -> dict[str, object]:
    return {"layer": layer, "level": level, "split": _split(measure), "measure": measure,
            "value": value.value, "low": value.low, "high": value.high, "n": n,
            "n_fit": n_fit}  # fmt: skip
