"""Networks before and after training beside the pixels that they were given, each with a control.

What a recording keeps features of is measured here and now; the baselines of the pixels come from
their file, since the pixels themselves are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    at_epoch,
    hits,
    level_of,
    predicted,
    table_row,
    with_intervals,
)
from ssl_companion.chapters.analysis.pixel_baselines import PIXELS, WHITENED, compare_with_pixels
from ssl_companion.data.hierarchy import RANDOM
from ssl_companion.encoders.evaluate import CONTROLS
from ssl_companion.measures import bootstrap_mean
from ssl_companion.recordings import Recording

_COLUMNS = ["name", "value", "low", "high", "n", "control", "recorded", "live"]


def networks_and_pixels(
    recordings: Mapping[str, Recording], level: str = "fine", *, seed: int = 0
) -> pd.DataFrame:
    """NCC accuracy of the pixels, and of every recording's network before and after training.

    Args:
        recordings: by name, with features and class means; the baselines are those of the first
            one's training images, and without any there are no rows of them.
        level: a level of the hierarchy.
        seed: of the controls and of the bootstrap.

    Returns:
        name; value, low, high (95%) and n; control, the mean accuracy under 20 random groupings
        of the level's sizes, or at the finest level under 20 permutations of the images' labels;
        recorded, the accuracy on all test images; live: whether value was measured now, on the
        kept test images, or is the recorded one. Accuracies are fractions.

    Example:
        >>> from ssl_companion.recordings import open_recording
        >>> kept = {"recipe": open_recording("clustering-vicreg-s0")}  # doctest: +SKIP
        >>> networks_and_pixels(kept, "coarse")["name"].tolist()  # doctest: +SKIP
        ['pixels', 'whitened pixels', 'recipe, untrained', 'recipe, trained']
    """
    rows = []
    for name, recording in recordings.items():
        kept = recording.kept_epochs()
        for when, epoch in (("untrained", kept[0]), ("trained", kept[-1])):
            found = hits(recording, level, (epoch,))[0]
            estimate = bootstrap_mean(found, seed=seed)
            row = table_row({"name": f"{name}, {when}"}, estimate, len(found))
            control = _control(recording, level, epoch, seed)
            told = at_epoch(recording, epoch, level=level)
            rows.append(row | {"control": control, "recorded": told, "live": True})
    networks = pd.DataFrame(rows, columns=_COLUMNS)
    baselines = _baselines(next(iter(recordings.values())), level)
    return pd.concat([baselines, networks], ignore_index=True) if len(baselines) else networks


def _baselines(recording: Recording, level: str) -> pd.DataFrame:
    found = compare_with_pixels(recording)
    found = found[found["level"] == level]
    if found.empty:
        return pd.DataFrame(columns=_COLUMNS)
    values = [found["pixels"].item(), found["whitened"].item()]
    n = int(recording.run["data"]["test_images"])
    table = pd.DataFrame({"name": [PIXELS, WHITENED], "value": values, "n": n})
    return with_intervals(table).assign(control=np.nan, recorded=values, live=False)[_COLUMNS]


def _control(recording: Recording, level: str, epoch: int, seed: int) -> float:
    if level != recording.hierarchy.names[0]:
        groups = (hits(recording, RANDOM + level, (epoch,), seed=seed + i) for i in range(CONTROLS))
        return float(np.mean([one.mean() for one in groups]))
    own = predicted(recording, level_of(recording, level), epoch)
    rng, y = np.random.default_rng(seed), recording.fine("test")
    return float(np.mean([own == rng.permutation(y) for _ in range(CONTROLS)]))
