"""What of a representation's entropy is specific to the view, and to the image in its class.

The authors' own review (arXiv:2304.09355) asks of a representation Z of a view that it keep what
two views of an image share, and forget what one of them has alone, I(X1; Z | X2); for a
deterministic network, H(Z | X2). So the question is one of shares: how much of H(Z) is left once
the image is known, and once the class is. A share can fall although all entropies rise.

Entropies here are those of a Gaussian channel: the features plus noise of variance s2 in every
dimension, less the entropy of the noise, 1/2 log det(I + S / s2), in nats. s2 is a share of the
total variance, trace(S), of what is measured, so that the unit of the features does not matter.
New recordings have them in their tables, of all views and images; for older ones they are computed
from the features that were kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from ssl_companion.chapters.analysis.accuracies import NotRecorded, at_epoch, table_row
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording
from ssl_companion.recordings.format import SAMPLE

NOISE = 0.01
NOISES = (0.01, 0.1, 1.0)
_HALVES = 40


@dataclass(frozen=True)
class Entropies:
    """Of one epoch at one level of noise, in nats; NaN where it is not measured.

    Attributes:
        views: H(Z) of augmented views.
        given_image: H(Z | image).
        images: H(Z) of images as they are.
        given_class: H(Z | class) of those.
    """

    views: float
    given_image: float
    images: float
    given_class: float

    @property
    def view_share(self) -> float:
        """The share specific to the view: H(Z | image) / H(Z); NaN where H(Z) is 0."""
        return _ratio(self.given_image, self.views)

    @property
    def class_share(self) -> float:
        """The share specific to the image in its class: H(Z | class) / H(Z)."""
        return _ratio(self.given_class, self.images)

    @property
    def about_image(self) -> float:
        """I(Z; image) = H(Z) - H(Z | image), what is kept of the image."""
        return self.views - self.given_image

    @property
    def about_class(self) -> float:
        """I(Z; class) = H(Z) - H(Z | class) of images as they are."""
        return self.images - self.given_class


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


_OF_CLASSES = ("class_share", "images", "given_class", "about_class")
_NOT_KEPT = Entropies(*[float("nan")] * 4)
# In words, with the unit: what `over_epochs` lists.
QUANTITIES: dict[str, tuple[str, str]] = {
    "view_share": ("specific to the view", "share"),
    "class_share": ("specific to the image in its class", "share"),
    "views": ("H(Z) of views", "nats"),
    "given_image": ("H(Z | image)", "nats"),
    "about_image": ("I(Z; image)", "nats"),
    "images": ("H(Z) of images", "nats"),
    "given_class": ("H(Z | class)", "nats"),
    "about_class": ("I(Z; class)", "nats"),
}


@dataclass(frozen=True, eq=False)
class Kept:
    """The features of one epoch that entropies are computed from.

    Attributes:
        views: of S images V augmented views each, [S, V, D].
        images: images as they are, [N, D].
        classes: their classes, [N].
    """

    views: np.ndarray
    images: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, recording: Recording, epoch: int) -> Kept:
        """The fresh views of every sample-level image, and the kept training images.

        The many views of a few images (`map_views`) are left out: five images are too few to
        stand for all, and would outweigh the others by their number of views.

        Raises:
            RecordingError: they are not kept.
        """
        views, image = recording.sample_views(epoch)
        of_each = views.reshape(int(image.max()) + 1, -1, views.shape[1])
        return cls(of_each, recording.features(epoch, split="train"), recording.fine("train"))

    def half(self, seed: int) -> Kept:
        """Half of the images, drawn without replacement: with all their views, or of each class."""
        rng = np.random.default_rng(seed)
        some = np.sort(rng.permutation(len(self.views))[: len(self.views) // 2])
        order = np.lexsort((rng.random(len(self.classes)), self.classes))
        return Kept(self.views[some], self.images[order[::2]], self.classes[order[::2]])

    def entropies(self, noises: Sequence[float] = (NOISE,)) -> list[Entropies]:
        """At each level of noise.

        H(Z) is of one view an image, averaged over which of them it is, so that it rests on as
        many independent differences as H(Z | image) does where there are two views.
        """
        s, v = self.views.shape[:2]
        totals = [_spectrum(self.views[:, i] - self.views[:, i].mean(0), s - 1) for i in range(v)]
        around = self.views - self.views.mean(axis=1, keepdims=True)
        within = _spectrum(around.reshape(s * v, -1), s * (v - 1))
        n, (means, names) = len(self.images), _class_means(self.images, self.classes)
        all_images = _spectrum(self.images - self.images.mean(axis=0), n - 1)
        in_class = _spectrum(self.images - means[names], n - len(means))
        found = []
        for noise in noises:
            s2 = noise * float(np.mean([total.trace for total in totals]))
            plain = noise * all_images.trace
            found.append(
                Entropies(
                    float(np.mean([total.entropy(s2) for total in totals])),
                    within.entropy(s2),
                    all_images.entropy(plain),
                    in_class.entropy(plain),
                )
            )
        return found


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Eigenvalues of a covariance that was estimated with so many degrees of freedom."""

    values: np.ndarray
    freedom: int

    @property
    def trace(self) -> float:
        return float(self.values.sum())

    def entropy(self, s2: float) -> float:
        """1/2 log det(I + S / s2) of the covariance behind the estimate, in nats.

        The sample's own log-determinant is too low where its degrees of freedom n are many
        more than the directions above the noise: to leading order by df^2 / 4n, with the effective
        dimensions df(s2) = tr S (S + s2)^-1. Two such entropies are off by different amounts, and
        so is their share. The deterministic equivalent of the log-determinant (Hachem, Loubaton,
        Najim 2007, arXiv:math/0507172), solved for the covariance behind the sample, has no such
        error even where n is below the dimension: with the noise z below s2 that solves
        z = s2 (1 - g), where g = df(z) / n,

            2 H = log det(I + S / z) + n (log(1 - g) + g).

        Returns:
            0 for features that do not vary; NaN if so little noise takes more degrees of freedom.
        """
        if s2 <= 0 or self.freedom < 1:
            return float("nan")

        def used(z: float) -> float:
            return float((self.values / (self.values + z)).sum()) / self.freedom

        lowest = 1e-6 * s2
        if self.trace == 0:
            return 0.0
        if s2 * (1 - used(lowest)) <= lowest:
            return float("nan")
        z = float(
            brentq(lambda at: s2 * (1 - used(at)) - at, lowest, s2, xtol=1e-12 * s2, rtol=1e-9)
        )
        g, n = used(z), self.freedom
        return float(np.log1p(self.values / z).sum() + n * (np.log1p(-g) + g)) / 2


def _class_means(x: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each class's rows [K, D], and which of these K each row belongs to, [N].

    Classes of one size are taken together, row after row: each mean as it is by itself.
    """
    _, names, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    means = np.empty((len(sizes), x.shape[1]), x.dtype)
    by_class, of_size = np.argsort(names, kind="stable"), sizes[names]
    for size in np.unique(sizes):
        rows = x[by_class[of_size[by_class] == size]]
        means[sizes == size] = rows.reshape(-1, size, x.shape[1]).mean(axis=1)
    return means, names


def _spectrum(centred: np.ndarray, freedom: int) -> _Spectrum:
    """Of rows less their means [N, D], with so many degrees of freedom."""
    x = centred.astype(np.float64)
    gram = x.T @ x if x.shape[0] > x.shape[1] else x @ x.T  # the same eigenvalues above 0
    values = np.linalg.eigvalsh(gram)[-max(freedom, 1) :]  # the others are rounding
    return _Spectrum(np.clip(values, 0, None) / max(freedom, 1), freedom)


def is_tabled(recording: Recording) -> bool:
    """Whether the recording's table has the entropies, of all views and images."""
    return bool(np.isfinite(_from_tables(recording, recording.epochs[0], NOISE).view_share))


def _from_tables(recording: Recording, epoch: int, noise: float) -> Entropies:
    def at(measure: str, level: str) -> float:
        name = f"{measure}@{noise:g}"
        return at_epoch(recording, epoch, name, level=level, split="train")

    return Entropies(
        at("rate", SAMPLE), at("rate_given", SAMPLE), at("rate", "fine"), at("rate_given", "fine")
    )


def epochs_of(recording: Recording) -> tuple[int, ...]:
    """Epochs at which the entropies are in the table, or else can be computed."""
    return tuple(recording.epochs) if is_tabled(recording) else _with_features(recording)


def _with_features(recording: Recording) -> tuple[int, ...]:
    if not recording.has_features:
        return ()
    views = set(recording.kept_epochs(what="sample_views"))
    return tuple(epoch for epoch in recording.kept_epochs(what="train") if epoch in views)


def entropies(
    recording: Recording, epoch: int, noises: Sequence[float] = (NOISE,)
) -> list[Entropies]:
    """Of one epoch at each level of noise: from the table, and live what that has not.

    Raises:
        RecordingError: neither is kept.
    """
    found = [_from_tables(recording, epoch, noise) for noise in noises]
    if epoch not in _with_features(recording):
        if not is_tabled(recording):
            Kept.of(recording, epoch)  # says what is missing
        return found
    live = Kept.of(recording, epoch).entropies(noises)
    return [
        Entropies(*(b if np.isnan(a) else a for a, b in zip(astuple(t), astuple(x), strict=True)))
        for t, x in zip(found, live, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class EntropyCourse:
    """Entropies over epochs.

    Attributes:
        recording: its name.
        epochs: T of them.
        noises: L levels.
        whole: [T][L], of all that is there.
        halves: [H][T][L], of halves of the images whose features are kept, the same at every
            epoch; NaN at epochs without.
        samples, images: how many images are kept by their views, and as they are; 0 for none.
    """

    recording: str
    epochs: tuple[int, ...]
    noises: tuple[float, ...]
    whole: list[list[Entropies]]
    halves: list[list[list[Entropies]]]
    samples: int
    images: int

    def images_behind(self, quantity: str) -> int:
        """How many images the halves of a quantity are taken of; 0 without halves."""
        return self.images if quantity in _OF_CLASSES else self.samples

    def fall(self, quantity: str, noise: float = NOISE) -> Interval:
        """How far a quantity falls from the first epoch to the last, in its unit.

        The interval is a delete-half jackknife over the images whose features are kept at both;
        without them it has no ends.
        """
        at = self.noises.index(noise)
        drawn = np.array([_fell(lines, quantity, at) for lines in self.halves])
        return _jackknife(_fell(self.whole, quantity, at), drawn)

    def direction(self, quantity: str, noise: float = NOISE) -> str:
        """ "falls" or "rises" from the first epoch to the last, "does not measurably change" where
        the interval holds no change; without an interval the values alone decide."""
        found = self.fall(quantity, noise)
        ends = [found.value] if found.low != found.low else [found.low, found.high]
        if min(ends) > 0:
            return "falls"
        return "rises" if max(ends) < 0 else "does not measurably change"

    def table(self) -> pd.DataFrame:
        """recording, epoch, noise, quantity, words, unit, value, low, high, n: a row a point."""
        rows = []
        for at, noise in enumerate(self.noises):
            for name, (words, unit) in QUANTITIES.items():
                for t, epoch in enumerate(self.epochs):
                    drawn = np.array([getattr(lines[t][at], name) for lines in self.halves])
                    found = _jackknife(getattr(self.whole[t][at], name), drawn)
                    where = {"recording": self.recording, "epoch": epoch, "noise": noise,
                             "quantity": name, "words": words, "unit": unit}  # fmt: skip
                    rows.append(table_row(where, found, self.images_behind(name)))
        return pd.DataFrame(rows)


def _fell(lines: list[list[Entropies]], quantity: str, at: int) -> float:
    return float(getattr(lines[0][at], quantity) - getattr(lines[-1][at], quantity))


def _jackknife(value: float, drawn: np.ndarray) -> Interval:
    """The halves' spread about their own mean, put about the value of all images."""
    known = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(known):
        return Interval(value, float("nan"), float("nan"))
    return interval(value, value + known - known.mean())


def course(
    recording: Recording,
    *,
    epochs: Sequence[int] | None = None,
    noises: Sequence[float] = (NOISE,),
    halves: int = _HALVES,
    seed: int = 0,
) -> EntropyCourse:
    """Entropies over the epochs of a recording.

    Args:
        recording: with the entropies in its table, or with features of views and images.
        epochs: by default all that have them.
        noises: variances in every dimension, as shares of the total variance.
        halves: of the images whose features are kept, for the intervals (Shao, Wu 1989,
            doi:10.1214/aos/1176347263).
        seed: of the halves.

    Raises:
        NotRecorded: fewer than two epochs have them.
    """
    at = epochs_of(recording) if epochs is None else tuple(epochs)
    if len(at) < 2:
        raise NotRecorded(
            f"{recording.name}: no entropies, and no features of views and of training images, "
            "at two epochs"
        )
    whole = [entropies(recording, epoch, noises) for epoch in at]
    kept = [Kept.of(recording, e) if e in _with_features(recording) else None for e in at]
    nothing = [_NOT_KEPT] * len(noises)
    drawn = [
        [one.half(seed + h).entropies(noises) if one else nothing for one in kept]
        for h in range(halves if any(kept) else 0)
    ]
    samples, images = next(((len(one.views), len(one.images)) for one in kept if one), (0, 0))
    return EntropyCourse(recording.name, at, tuple(noises), whole, drawn, samples, images)


def before_and_after(
    recording: Recording,
    *,
    noises: Sequence[float] = (NOISE,),
    halves: int = _HALVES,
    seed: int = 0,
) -> EntropyCourse:
    """As `course`, of the first and the last epoch alone."""
    at = epochs_of(recording)
    return course(
        recording, epochs=(at[0], at[-1]) if at else (), noises=noises, halves=halves, seed=seed
    )
