"""The one rule by which every verdict is given, and the nine rules as data.

They were fixed before anything was measured with this package: no least effect was chosen by
looking at a recording; `why` says where it comes from. *What* is measured became stricter later,
where a control could not have failed or an interval was over the wrong units; CHANGELOG.md says
what, and which verdicts that changed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from ssl_companion.measures import Interval


class Verdict(str, Enum):
    """What a claim comes to; the best comes first."""

    REPRODUCED = "reproduced"
    PARTLY = "partly"
    NOT_REPRODUCED = "not reproduced"
    NOT_MEASURED = "not measured"


def least(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that they support together: that of the one which supports the claim least."""
    return max(verdicts, key=list(Verdict).index)


@dataclass(frozen=True)
class Rule:
    """What an effect has to be, fixed before it is measured.

    Attributes:
        direction: "above" if the claim says that the effect is large, "below" if small.
        null: the effect where nothing is there.
        least: the smallest effect that supports the claim in full.
        unit: of the effect.
        why: the reasons for `least`.
    """

    direction: Literal["above", "below"]
    null: float
    least: float
    unit: str
    why: str

    def __post_init__(self) -> None:
        if self.direction not in ("above", "below"):
            raise ValueError(f"direction: {self.direction!r}; expected 'above' or 'below'")
        if not self.beyond(self.least, self.null):
            raise ValueError(
                f"least: {self.least!r}; expected a value {self.direction} null, {self.null!r}"
            )

    def beyond(self, value: float, mark: float) -> bool:
        """Whether a value lies strictly past a mark, in the claim's direction."""
        return value > mark if self.direction == "above" else value < mark

    def reaches(self, value: float) -> bool:
        """Whether a value is `least` or beyond."""
        return value == self.least or self.beyond(value, self.least)

    def __str__(self) -> str:
        sign = "≥" if self.direction == "above" else "≤"
        return f"{self.unit} {sign} {self.least:.3g} (nothing: {self.null:g})"


def decide(effect: Interval, rule: Rule, control: Interval | None) -> Verdict:
    """The verdict on an effect, given what its negative control comes to.

    - *not reproduced*: the effect is not defined (NaN), or its interval does not lie past both
      the null and the whole interval of the control, or the control reaches the least effect as
      well, so that the measurement would say yes to anything;
    - *reproduced*: the whole interval reaches the least effect;
    - *partly*: the interval lies past null and control, but not all of it reaches the least
      effect; and whatever has no control, however large.

    A control that is not defined (NaN: nothing varies in it) shows no effect.
    """
    near = effect.low if rule.direction == "above" else effect.high
    if not all(map(math.isfinite, (effect.value, effect.low, effect.high))):
        return Verdict.NOT_REPRODUCED
    if not rule.beyond(near, rule.null):
        return Verdict.NOT_REPRODUCED
    if control is not None and math.isfinite(control.value):
        far = control.high if rule.direction == "above" else control.low
        overlaps = not rule.beyond(near, far if math.isfinite(far) else control.value)
        if overlaps or rule.reaches(control.value):
            return Verdict.NOT_REPRODUCED
    if control is None or not rule.reaches(near):
        return Verdict.PARTLY
    return Verdict.REPRODUCED


_POINTS = (
    "Five points of accuracy are the chance level of twenty classes, and several times the "
    "sampling error of two thousand images: an advantage below that has no use."
)

CLUSTERING = Rule(
    "above", 1.0, 1.5, "ratio of NCC accuracies",
    "An untrained network separates classes a little already. Half as much again is more than "
    "the choice of an initialisation or an architecture usually moves.",
)  # fmt: skip
REGULARIZER = Rule(
    "above", 0.5, 2 / 3, "share of the gain",
    "At one half both terms count the same. To drive is to carry at least twice as much as the "
    "other: two thirds.",
)  # fmt: skip
DOWNSTREAM = Rule(
    "above", 0.0, 0.5, "rank correlation",
    "0.5 is the conventional threshold of a large correlation (Cohen 1988).",
)  # fmt: skip
COMPRESSION = Rule(
    "above", 0.0, 0.5, "share of estimators that lose less share that gain",
    "The abstract names no estimator, so the claim should hold for most of those in use: at zero "
    "as many gain as lose. To count, one has to change by a tenth, beyond what noise moves.",
)  # fmt: skip
SEMANTIC = Rule("above", 0.0, 0.05, "growth of the advantage in accuracy", _POINTS)
HIERARCHY = Rule(
    "above", 0.0, 0.05, "least growth of the advantage in accuracy",
    _POINTS + " It is asked of every level, because the mean would hide the one that fails.",
)  # fmt: skip
TIME = Rule(
    "above", 0.0, 0.8, "rank correlation",
    "1 is a rise at every step. 0.8 lets neighbouring epochs change places, but not early and "
    "late ones.",
)  # fmt: skip
DEPTH = Rule(
    "above", 0.0, 0.8, "rank correlation",
    "1 is a rise at every layer. With six layers, 0.8 lets neighbours change places, but not "
    "first and last.",
)  # fmt: skip
GENERALITY = Rule(
    "above", 0.5, 0.75, "share of runs",
    "Below one half the claim fails more often than it holds; a rule of thumb that is said to "
    "hold across settings should not fail in more than one of four.",
)  # fmt: skip
