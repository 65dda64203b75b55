"""What no network is needed for: nearest class means on the pixels, plain and whitened.

"Over its own start" is a mild question where an untrained network is worse than the pixels that it
is given. Principal components whitened to the width of a network's features are a strong
linear guess without labels, and take no training; what a network has learnt begins above them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ssl_companion._files import atomic_file
from ssl_companion.data import ImageSet
from ssl_companion.findings.live import final, start
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording, recordings_root
from ssl_companion.training.backbones import make_backbone

FILE = "baselines.csv"
COLUMNS = ("data", "train_images", "fingerprint", "encoder", "dims", "level", "value", "n")
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
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _flat(images: ImageSet) -> np.ndarray:
    """Pixels in [0, 1], float32 [N, C H W]."""
    return np.asarray(images.images).reshape(len(images), -1).astype(np.float32) / 255


def write(table: pd.DataFrame, root: str | Path | None = None) -> Path:
    """Put rows of `pixel_baselines` beside the recordings, in place of those of the same images."""
    path = recordings_root(root) / FILE
    if path.is_file():
        old = pd.read_csv(path)
        others = ~old["fingerprint"].isin(table["fingerprint"])
        table = pd.concat([old[others], table], ignore_index=True)
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return path


def beside(recording: Recording, root: str | Path | None = None) -> pd.DataFrame:
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
    table = pd.read_csv(path)
    table = table[table["fingerprint"] == own]
    if table.empty:
        return pd.DataFrame(columns=columns)
    plain = table[table["encoder"] == PIXELS].set_index("level")["value"]
    white = table[table["encoder"] == WHITENED]
    dims = min(set(white["dims"]), key=lambda width: abs(width - _width(recording)))
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
        return make_backbone(recording.run["config"]["backbone"], seed=0).width
    except (KeyError, ValueError):
        kept = recording.kept_epochs() if recording.has_features else ()
        return int(recording.features(kept[-1]).shape[1]) if kept else max(WIDTHS)
