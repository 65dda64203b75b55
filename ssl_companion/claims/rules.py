"""The decision rules, as data: fixed before anything was measured with this package.

No least effect was chosen by looking at a recording; `why` says where it comes from. *What* is
measured became stricter later, where a control could not have failed or an interval was over the
wrong units; CHANGELOG.md says what, and which verdicts that changed.
"""

from __future__ import annotations

from ssl_companion.claims.decision import Rule

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
