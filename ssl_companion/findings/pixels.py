"""Views before any network: how augmentation scatters an image among the others' pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from ssl_companion.data import views
from ssl_companion.findings.live import table_row
from ssl_companion.measures import NearestCentroid, bootstrap_accuracy
from ssl_companion.training.randomness import generator


def recipe_at(strength: float, recipe: views.ViewConfig | None = None) -> views.ViewConfig:
    """The recipe of views turned down or up: 0 leaves images as they are, 1 is the recipe.

    Up to 1 everything grows in proportion: the crop's range, the amounts of jitter, and the
    probabilities of flip, grey and solarisation. Above 1 only the amounts of jitter do.

    Raises:
        ValueError: a negative strength, or one that shifts the hue by more than half a turn.
    """
    if not strength >= 0:
        raise ValueError(f"strength: {strength!r}; expected 0 or more")
    full, part = recipe or views.ViewConfig(), min(strength, 1.0)

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
    images: np.ndarray, n_views: int, config: views.ViewConfig, seed: int = 0
) -> np.ndarray:
    """Random views, float32 [N, V, 3, H, W] in [0, 1], of uint8 images [N, 3, H, W].

    Under one seed a view draws the same numbers whatever the configuration: its crop grows
    with the strength, and does not jump.
    """
    n, _, height, width = images.shape
    many = torch.from_numpy(np.array(images)).repeat_interleave(n_views, dim=0)
    drawn = views.draw(len(many), config, generator(seed, "views-of"), height, width)
    made: np.ndarray = views.apply(many, drawn).reshape(n, n_views, 3, height, width).numpy()
    return made


def pixel_clustering(
    images: np.ndarray,
    strengths: Sequence[float],
    n_views: int = 9,
    n_fresh: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """NCC accuracy of the sample level on the pixels themselves, at several strengths.

    Every image is a class; the mean of `n_views` of its views is held against `n_fresh` others.

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
