"""What no network is needed for: nearest class means on the pixels, plain and whitened.

"Over its own start" is a mild question where an untrained network is worse than the pixels that it
is given. Principal components whitened to the width of a network's features are a strong
linear guess without labels, and take no training; what a network has learnt begins above them.
`pixel_clustering` scatters an image's views among the others' pixels, before any network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ssl_companion.chapters.analysis.accuracies import final, start, table_row
from ssl_companion.data import ImageSet, augmentation
from ssl_companion.io.atomic import atomic_file
from ssl_companion.io.tables import read_table
from ssl_companion.measures import NearestCentroid, bootstrap_accuracy
from ssl_companion.recordings import Recording, RecordingError, recordings_root
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.runtime import generator

FILE = "baselines.csv"
BASELINE_COLUMNS = ("data", "train_images", "fingerprint", "encoder", "dims", "level", "value", "n")
WIDTHS = (8, 16, 32, 64, 128, 250, 256, 512)  # of the features of the presets' networks
PIXELS, WHITENED = "pixels", "whitened pixels"


def pixel_baselines(
    train: ImageSet, test: ImageSet, widths: tuple[int, ...] = WIDTHS
) -> pd.DataFrame:
    """NCC accuracy on held-out images of the pixels, and of their whitened components.

    Args:
        train: makes the means and, without its labels, the components.
        test: is judged.
        widths: how many components (PCA of the pixels, each scaled to variance one), one run
            each; those above the number of pixels or images are left out.

    Returns:
        data, train_images, fingerprint (of the training images), encoder ("pixels" or "whitened
        pixels"), dims, level, value, n.
    """
    from sklearn.decomposition import PCA

    x, z = _flat(train), _flat(test)
    encoded = {(PIXELS, x.shape[1]): (x, z)}
    most = PCA(min(max(widths), *x.shape), whiten=True, svd_solver="covariance_eigh").fit(x)
    a, b = most.transform(x), most.transform(z)  # in the order of their variance, so nested
    for width in widths:
        if width <= a.shape[1]:
            encoded[WHITENED, width] = a[:, :width], b[:, :width]
    rows: list[dict[str, object]] = []
    for (encoder, dims), (fit, judged) in encoded.items():
        for level in train.hierarchy.levels:
            rule = NearestCentroid().fit(fit, level.labels(train.fine))
            value = rule.score(judged, level.labels(test.fine))
            rows.append({"data": train.name, "train_images": len(train),
                         "fingerprint": train.fingerprint, "encoder": encoder, "dims": dims,
                         "level": level.name, "value": value, "n": len(test)})  # fmt: skip
    return pd.DataFrame(rows, columns=list(BASELINE_COLUMNS))


def _flat(images: ImageSet) -> np.ndarray:
    """Pixels in [0, 1], float32 [N, C H W]."""
    return np.asarray(images.images).reshape(len(images), -1).astype(np.float32) / 255


def write_baselines(table: pd.DataFrame, root: str | Path | None = None) -> Path:
    """Put rows of `pixel_baselines` beside the recordings, in place of those of the same images."""
    path = recordings_root(root) / FILE
    if path.is_file():
        old = _read(path)
        others = ~old["fingerprint"].isin(table["fingerprint"])
        table = pd.concat([old[others], table], ignore_index=True)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return path


def _read(path: Path) -> pd.DataFrame:
    text, whole = ("data", "fingerprint", "encoder", "level"), ("train_images", "dims", "n")
    try:
        return read_table(
            path, text, whole, ("value",), ("fingerprint", "encoder", "dims", "level")
        )
    except (OSError, ValueError) as error:
        raise RecordingError(
            f"{path}: cannot be read ({error}); restore it from the repository, or move it away "
            "and make it again with `ssl-companion baselines`"
        ) from error


def compare_with_pixels(recording: Recording, root: str | Path | None = None) -> pd.DataFrame:
    """A recording before and after training beside what its pixels reach, of all test images.

    Args:
        recording: of the training images that baselines were computed of.
        root: where they are; by default where recordings are.

    Returns:
        level, before, pixels, whitened (of as many components as the last layer has dimensions;
        the nearest width that was computed), after (NCC accuracies, as fractions), dims (of the
        components). No rows where there is no baseline for this recording.
    """
    path, own = recordings_root(root) / FILE, recording.run["data"].get("train_fingerprint")
    columns = ["level", "before", "pixels", "whitened", "after", "dims"]
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    table = _read(path)
    table = table[table["fingerprint"] == own]
    if table.empty:
        return pd.DataFrame(columns=columns)
    plain = table[table["encoder"] == PIXELS].set_index("level")["value"]
    white = table[table["encoder"] == WHITENED]
    own_width = _width(recording)
    dims = min(set(white["dims"]), key=lambda width: abs(width - own_width))
    scaled = white[white["dims"] == dims].set_index("level")["value"]
    rows = [
        (level, start(recording, level=level), plain[level], scaled[level],
         final(recording, level=level), dims)
        for level in recording.hierarchy.names if level in plain.index
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _width(recording: Recording) -> int:
    """Dimensions of the last layer; of a network that is none of this package's, its features'."""
    try:
        return _width_of(recording.run["config"]["backbone"])
    except (KeyError, ValueError):
        kept = recording.kept_epochs() if recording.has_features else ()
        return int(recording.features(kept[-1]).shape[1]) if kept else max(WIDTHS)


@lru_cache(maxsize=32)
def _width_of(backbone: str) -> int:
    return make_backbone(backbone, seed=0).width


def recipe_at(
    strength: float, recipe: augmentation.ViewConfig | None = None
) -> augmentation.ViewConfig:
    """The recipe of views turned down or up: 0 leaves images as they are, 1 is the recipe.

    Up to 1 everything grows in proportion: the crop's range, the amounts of jitter, and the
    probabilities of flip, grey and solarisation. Above 1 only the amounts of jitter do.

    Raises:
        ValueError: a negative strength, or one that shifts the hue by more than half a turn.
    """
    if not strength >= 0:
        raise ValueError(f"strength: {strength!r}; expected 0 or more")
    full, part = recipe or augmentation.ViewConfig(), min(strength, 1.0)

    def between(neutral: float, value: float) -> float:
        return (1 - part) * neutral + part * value

    return replace(
        full,
        strength=full.strength * strength,
        scale=(between(1, full.scale[0]), between(1, full.scale[1])),
        ratio=(between(1, full.ratio[0]), between(1, full.ratio[1])),
        flip=part * full.flip,
        grey=part * full.grey,
        solarise=part * full.solarise,
    )


def views_of(
    images: np.ndarray, n_views: int, config: augmentation.ViewConfig, seed: int = 0
) -> np.ndarray:
    """Random views, float32 [N, V, 3, H, W] in [0, 1], of uint8 images [N, 3, H, W].

    Under one seed a view draws the same numbers whatever the configuration: its crop grows
    with the strength, and does not jump.
    """
    n, _, height, width = images.shape
    many = torch.from_numpy(np.array(images)).repeat_interleave(n_views, dim=0)
    drawn = augmentation.draw_parameters(
        len(many), config, generator(seed, "views-of"), height, width
    )
    made: np.ndarray = augmentation.apply(many, drawn).reshape(n, n_views, 3, height, width).numpy()
    return made


def pixel_clustering(
    images: np.ndarray,
    strengths: Sequence[float],
    n_views: int = 9,
    n_fresh: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """NCC accuracy of the sample level on the pixels themselves, at several strengths.

    Every image is a class; `n_fresh` views of it are compared with the means of `n_views` others.

    Args:
        images: uint8 [N, 3, H, W], the N classes.
        strengths: of `recipe_at`.
        n_views, n_fresh: views of each image that make the means, and that test them.
        seed: of the views and of the bootstrap over images.

    Returns:
        strength, value, low, high (95%), n; fractions.
    """
    rows, image = [], np.arange(len(images))
    for strength in strengths:
        made = views_of(images, n_views + n_fresh, recipe_at(strength), seed)
        flat = made.reshape(len(images), n_views + n_fresh, -1)
        fit, fresh = flat[:, :n_views], flat[:, n_views:]
        size = flat.shape[2]
        rule = NearestCentroid().fit(fit.reshape(-1, size), image.repeat(n_views))
        own = image.repeat(n_fresh)
        found = rule.predict(fresh.reshape(-1, size))
        estimate = bootstrap_accuracy(found, own, own, seed=seed)
        rows.append(table_row({"strength": strength}, estimate, len(own)))
    return pd.DataFrame(rows)
