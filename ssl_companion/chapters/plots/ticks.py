"""Ticks whose numbers never touch, and signed numbers as the book writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator

_DIGIT = 0.64  # width of a digit, as a share of the size of the letters
_GAP = 0.5  # least room between two numbers, likewise


class RoomyLocator(FixedLocator):
    """Ticks at some of the given places: as many as have room for their numbers, side by side.

    The first and the last always stay, then powers of ten come before other places. What there is
    room for is asked whenever the figure is drawn, so that it may become narrower.
    """

    def __init__(self, places: Sequence[float]) -> None:
        super().__init__(sorted(places))
        self.places = sorted(map(float, places))

    def tick_values(self, vmin: Any, vmax: Any) -> Any:
        """The places that are shown."""
        axis = self.axis
        if not isinstance(axis, Axis):
            return np.array(self.places)
        size = float(axis.get_major_ticks(1)[0].label1.get_fontsize())  # asks for no places
        letter = size * axis.axes.figure.dpi / 72
        lower, upper = sorted(axis.get_view_interval())
        inside = [place for place in self.places if lower <= place <= upper]
        if not inside:
            return np.array([])
        at = axis.axes.transData.transform([(place, 0.0) for place in inside])[:, 0]
        wide = [_DIGIT * letter * len(f"{place:g}") for place in inside]
        shown: list[int] = []
        for i in sorted(range(len(inside)), key=lambda i: _rank(i, inside)):
            if all(abs(at[i] - at[j]) >= (wide[i] + wide[j]) / 2 + _GAP * letter for j in shown):
                shown.append(i)
        return np.array([inside[i] for i in sorted(shown)])


def _rank(i: int, places: Sequence[float]) -> tuple[int, float]:
    """What has to be shown first has the lowest rank."""
    if i in (0, len(places) - 1):
        return 0, places[i]
    power = math.log10(places[i]) if places[i] > 0 else 0.5
    return (1 if power == round(power) else 2), places[i]


def signed(value: float, digits: int = 0) -> str:
    """A difference with its sign: "+6.3", "−0.8", and "0.0" where nothing is left of it."""
    words = f"{value:+.{digits}f}"
    if float(words) == 0:
        return words[1:]
    return words.replace("-", "−")
