"""How random views of images vary; `augmentation`, which needs torch, makes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ViewConfig:
    """How views vary. Probabilities and ranges are fractions.

    Raises:
        ValueError: if a range, probability or amount makes no sense.
    """

    scale: tuple[float, float] = (0.2, 1.0)  #: area of the crop over that of the image
    ratio: tuple[float, float] = (3 / 4, 4 / 3)  #: width over height of the crop, log-uniform
    flip: float = 0.5  #: probability of a mirrored view
    jitter: float = 0.8  #: probability that the colours are jittered at all
    brightness: float = 0.4  #: factor drawn from 1 +- this, never below 0
    contrast: float = 0.4  #: likewise
    saturation: float = 0.2  #: likewise
    hue: float = 0.1  #: shift drawn from +- this, in turns of the colour circle
    grey: float = 0.2  #: probability of a view without colour
    solarise: float = 0.1  #: probability that pixels >= 1/2 are inverted
    strength: float = 1.0  #: multiplies the four amounts of jitter

    def __post_init__(self) -> None:
        for name in ("scale", "ratio"):
            pair = getattr(self, name)
            two = isinstance(pair, Sequence) and len(pair) == 2
            if not two or not 0 < pair[0] <= pair[1] < math.inf:
                raise ValueError(f"{name}: {pair!r}; expected (low, high) with 0 < low <= high")
        if self.scale[1] > 1:
            raise ValueError(f"scale: {self.scale!r}; expected at most 1, the whole image")
        for name in ("flip", "jitter", "grey", "solarise"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name}: {value!r}; expected a probability, 0 to 1")
        for name in ("brightness", "contrast", "saturation", "hue", "strength"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name}: {value!r}; expected a finite number of 0 or more")
        if self.hue * self.strength > 0.5:
            raise ValueError(
                f"hue: {self.hue!r}, times strength {self.strength!r}; expected at most 0.5, half "
                "a turn of the colour circle; lower either"
            )
