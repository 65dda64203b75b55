"""Measure what a recording keeps: class means of the whole training set, features of some images.

Features are kept quantised, and what is measured here is measured on them as they are kept: whoever
measures a recording again gets its "subset" rows to the last digit, and sees beside them what the
whole data set gave.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssl_companion.data.hierarchy import Level
from ssl_companion.data.images import LabelSet
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings.config import Subsets
from ssl_companion.recordings.format import SAMPLE, MeasureRow, key
from ssl_companion.recordings.measuring import levels_and_controls
from ssl_companion.recordings.quantised import held


def group_means(means: np.ndarray, counts: np.ndarray, level: Level) -> np.ndarray:
    """Class means of a level from those of the fine classes, weighted by their counts.

    Args:
        means: float [K_fine, D].
        counts: int [K_fine], the images behind each mean.
        level: groups the fine classes.

    Returns:
        float64 [K, D].
    """
    weight = np.zeros((level.k, len(means)))
    weight[level.of_fine, np.arange(len(means))] = counts
    grouped: np.ndarray = weight @ means.astype(np.float64) / weight.sum(axis=1, keepdims=True)
    return grouped


def measure_kept(
    means: np.ndarray, counts: np.ndarray, x: Tensor, fine: np.ndarray, level: Level
) -> float:
    """NCC accuracy of features [N, D] at a level, by the class means of the whole training set."""
    rule = NearestCentroid.from_centroids(group_means(means, counts, level))
    return rule.score(x, level.labels(fine))


def subset_rows(
    tensors: dict[str, Tensor], train: LabelSet, test: LabelSet, subsets: Subsets
) -> list[MeasureRow]:
    """NCC rows with the splits "subset-train" and "subset-test" for all kept features."""
    rows: list[MeasureRow] = []
    counts = np.bincount(train.fine, minlength=train.hierarchy.level("fine").k)
    fine = {"train": train.fine[subsets.train], "test": test.fine[subsets.test]}
    places = [name.split("/")[:2] for name in tensors if name.endswith("/class_means")]
    for epoch, layer in sorted((int(e), layer) for e, layer in places):
        means = held(tensors, key(epoch, layer, "class_means")).numpy()
        for split, y in fine.items():
            name = key(epoch, layer, split)
            if name not in tensors:
                continue
            x = held(tensors, name)
            for level in levels_and_controls(train.hierarchy):
                score = measure_kept(means, counts, x, y, level)
                rows.append((epoch, layer, level.name, f"subset-{split}", "ncc", score, len(y)))
        name = key(epoch, layer, "sample_means")
        if name in tensors:
            rule = NearestCentroid.from_centroids(held(tensors, name))
            x = held(tensors, key(epoch, layer, "sample_views"))
            n = len(tensors[name])
            y = torch.arange(n).repeat_interleave(len(x) // n)
            rows.append((epoch, layer, SAMPLE, "subset-test", "ncc", rule.score(x, y), len(x)))
    return rows
