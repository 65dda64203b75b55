"""What the noise decides: bounds on the information in noisy features, at many levels of noise.

Two informations are bounded. That between a noisy feature and its *view* is about everything:
which image it is, and which crop and colours it has. That between the two when the *image is
known* is about the crop and the colours only, which a representation of images should forget.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from ssl_companion.findings.courses import HALVES, Courses
from ssl_companion.findings.material import Material
from ssl_companion.measures import kde_information_bounds
from ssl_companion.recordings import Recording

TOTAL = ("information, lower bound", "information, upper bound")
GIVEN = ("information given the sample, lower bound", "information given the sample, upper bound")


def over_noise(
    recording: Recording,
    noises: Sequence[float],
    *,
    epochs: Sequence[int] | None = None,
    halves: int = HALVES,
    seed: int = 0,
    total: bool = True,
) -> dict[float, Courses]:
    """The courses of the bounds at each level of noise, live: {noise: courses}.

    Args:
        recording: with features.
        noises: variances, as shares of the features' variance at the same epoch.
        epochs: by default all that keep views.
        halves: of the images, for the intervals.
        seed: of the halves.
        total: bound the information about the view as well, `TOTAL`; without it only `GIVEN`,
            which takes a fraction of the time.
    """
    names = (*TOTAL, *GIVEN) if total else GIVEN
    kept = recording.kept_epochs(what="sample_views")
    epochs = tuple(kept if epochs is None else epochs)
    whole = np.empty((len(noises), len(names), len(epochs)))
    parts = np.empty((len(noises), halves, *whole.shape[1:]))
    for t, epoch in enumerate(epochs):
        material = Material.of(recording, epoch)
        whole[:, :, t] = [_bounds(material, noise, total) for noise in noises]
        for h in range(halves):
            half = material.half(seed + h)
            parts[:, h, :, t] = [_bounds(half, noise, total) for noise in noises]
    n = len(material.views)
    return {
        noise: Courses(recording.name, names, epochs, whole[i], parts[i], n)
        for i, noise in enumerate(noises)
    }


def _bounds(material: Material, noise: float, total: bool) -> tuple[float, ...]:
    try:
        given = bounds_given_sample(material.views, material.image, noise)
        if not total:
            return given
        both = kde_information_bounds(material.views, noise)
    except ValueError:  # collapsed to a point: no variance to relate noise to
        return (np.nan,) * (4 if total else 2)
    return both.lower, both.upper, *given


def bounds_given_sample(views: np.ndarray, image: np.ndarray, noise: float) -> tuple[float, float]:
    """Bounds on I(view; feature + noise | image), in nats, from 0 to log(views an image).

    The pairwise bounds of Kolchinsky and Tracey (arXiv:1706.02419), as in
    `measures.kde_information_bounds`, within each image and averaged over the images.

    Args:
        views: features [M, D], the same number of views of every image.
        image: which image each shows, [M].
        noise: variance in every dimension, as a share of the variance of *all* views (summed
            over the dimensions), so that it is the noise of the unconditional bounds.

    Returns:
        The lower and the upper bound.

    Raises:
        ValueError: images with different numbers of views, or views without variance.
    """
    counts = np.unique(image, return_counts=True)[1]
    if len(set(counts.tolist())) != 1:
        raise ValueError(f"image has {sorted(set(counts.tolist()))} views; expected one number")
    x = views.astype(np.float64)[np.argsort(image, kind="stable")]
    variance = noise * float(x.var(axis=0).sum())
    if variance <= 0:
        raise ValueError(f"noise={noise} of views without variance; expected some of both")
    v = int(counts[0])
    x = x.reshape(len(counts), v, -1)
    squares = ((x[:, :, None] - x[:, None]) ** 2).sum(axis=-1)
    lower, upper = (
        -float((logsumexp(-squares / (c * variance), axis=2) - np.log(v)).mean()) for c in (8, 2)
    )
    return max(0.0, lower), max(0.0, upper)
