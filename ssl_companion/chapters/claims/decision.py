"""The one rule by which every verdict is given.

What each claim asks for, as data, is `rules`. A verdict here needs more than an effect: the same
measurement has to answer rightly on runs whose answer is known. Where it does not, or where the
interval is too wide to tell, the verdict is *undecided*, and no effect is large enough to change
that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from ssl_companion.measures import Interval


class Verdict(str, Enum):
    """What a claim comes to; the best comes first."""

    REPRODUCED = "reproduced"
    PARTLY = "partly"
    UNDECIDED = "undecided"
    NOT_REPRODUCED = "not reproduced"
    NOT_MEASURED = "not measured"


def least(verdicts: Iterable[Verdict | None]) -> Verdict:
    """The verdict that they support together: that of the one which supports the claim least.
    None counts for nothing; of none at all, it is "not measured"."""
    found = [verdict for verdict in verdicts if verdict is not None]
    return max(found, key=list(Verdict).index, default=Verdict.NOT_MEASURED)


@dataclass(frozen=True)
class Rule:
    """What an effect has to be, and what was known when that was written.

    Attributes:
        direction: "above" if the claim says that the effect is large, "below" if small.
        null: the effect where nothing is there.
        least: the smallest effect that supports the claim in full.
        unit: of the effect.
        why: the reasons for `least`.
        known: what had been measured of this effect when `least` was set; "" for nothing.
        whole: whether the whole interval has to reach `least`. Otherwise the estimate has to
            reach it, and the whole interval to lie past `null`.
    """

    direction: Literal["above", "below"]
    null: float
    least: float
    unit: str
    why: str
    known: str = ""
    whole: bool = True

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

    def ends(self, of: Interval) -> tuple[float, float]:
        """The end of an interval that lies nearer to nothing, and the farther one."""
        return (of.low, of.high) if self.direction == "above" else (of.high, of.low)

    def __str__(self) -> str:
        sign = "≥" if self.direction == "above" else "≤"
        return f"{self.unit} {sign} {self.least:.3g} (null value: {self.null:g})"


@dataclass(frozen=True)
class Control:
    """The same measurement where the answer is known.

    Attributes:
        words: what it was made on: "trained on labels", "other random groupings".
        effect: with its interval; NaN where it is not defined, which answers no.
        answer: what it has to come to: "yes", the least effect, or "no".
        recordings: names of those used.
        lost: why an effect does not count there ("the information about the image fell"); such a
            run answers no whatever its effect is.
    """

    words: str
    effect: Interval
    answer: Literal["yes", "no"]
    recordings: tuple[str, ...] = ()
    lost: str = ""

    def is_right(self, rule: Rule) -> bool:
        """Whether the rule gives the known answer on it.

        "Yes" is the least effect, with an interval (where it has one) past nothing; "no" is
        anything less than the least effect.
        """
        value, (near, _) = self.effect.value, rule.ends(self.effect)
        reaches = math.isfinite(value) and rule.reaches(value) and not self.lost
        if self.answer == "no":
            return not reaches
        return reaches and (not math.isfinite(near) or rule.beyond(near, rule.null))


def decide(effect: Interval, rule: Rule, controls: Sequence[Control] = ()) -> Verdict:
    """The verdict on an effect, given what the same measurement says where the answer is known.

    In this order:

    - *undecided*: the effect is not defined (NaN); there is no control of one kind, or one of
      them is answered wrongly, so that the measurement tells nothing apart; or the interval holds
      both nothing and the least effect, so that it is too wide to say;
    - *not reproduced*: the interval does not lie past nothing, nor past the interval of every
      negative control;
    - *reproduced*: the whole interval reaches the least effect (`Rule.whole`; otherwise the
      estimate does);
    - *partly*: what lies past nothing and the controls without reaching the least effect.
    """
    near, far = rule.ends(effect)
    if not all(map(math.isfinite, (effect.value, near, far))):
        return Verdict.UNDECIDED
    if {control.answer for control in controls} != {"yes", "no"}:
        return Verdict.UNDECIDED
    if not all(control.is_right(rule) for control in controls):
        return Verdict.UNDECIDED
    if not rule.beyond(near, rule.null):
        return Verdict.UNDECIDED if rule.reaches(far) else Verdict.NOT_REPRODUCED
    if not all(_is_past(near, control, rule) for control in controls if control.answer == "no"):
        return Verdict.NOT_REPRODUCED
    reached = rule.reaches(near if rule.whole else effect.value)
    return Verdict.REPRODUCED if reached else Verdict.PARTLY


def _is_past(near: float, control: Control, rule: Rule) -> bool:
    """Whether the nearer end of an effect lies past all of a negative control."""
    if control.lost or not math.isfinite(control.effect.value):
        return True
    _, far = rule.ends(control.effect)
    return rule.beyond(near, far if math.isfinite(far) else control.effect.value)
