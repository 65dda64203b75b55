"""What each claim asks for, as data: units, thresholds, the reasons, and what was known.

Where something of the kind had been measured before a threshold was set, `known` says what. The
appendix of the book on how the rules came about has each version with its date and what had been
recorded by then, from git.
"""

from __future__ import annotations

from ssl_companion.chapters.claims.decision import Rule

_POINTS = (
    "Five points of accuracy are the chance level of twenty classes, and several times the "
    "sampling error of two thousand images: an advantage below that has no use."
)
_AGAINST_LOOKS = (
    " Known when looks became a control: on one small run (50 epochs) the growth was 11.0 points "
    "over random groupings and 5.0 (0.4 to 9.7) over groupings by pixels."
)

CLUSTERING = Rule(
    "above", 1.0, 2.0, "ratio of NCC accuracies",
    "An untrained network separates classes a little already, and any training makes filters that "
    "help, even on random labels. Doubling is more than such training achieves.",
    "The threshold was 1.5 until two networks trained on random labels were seen to rise by "
    "factors of 1.4 and 1.8; a rule has to reject these, so it was raised. By then two full-size "
    "runs had come to 6.6 and 9.8, the small ones to 4.2, and the small ones that are trained just "
    "like the controls to 2.0, 2.0 and 2.4.",
)  # fmt: skip

ELASTICITY = Rule(
    "above", 0.0, 0.2, "share of the gain: lost with the regularizer at 1/5, less lost with the "
    "invariance at 1/5",
    "A driver is what the outcome responds to. A fifth of the recipe's gain is well above what a "
    "seed changes; zero means that both terms matter equally.",
    "In single full-size runs of 30 epochs, the regularizer at 1/5 cost 55% of the gain and the "
    "invariance at 1/5 nothing. In a pilot (RES-5-32, 10,000 images, 28 epochs, seed 7) the recipe "
    "went from 6.9% to 13.9%, the invariance at 1/5 to 16.7%, the regularizer at 1/5 to 5.8%.",
    whole=False,
)  # fmt: skip
NECESSITY = Rule(
    "above", 0.0, 2 / 3, "share of the gain lost without the regularizer",
    "A term without which more than a third of the gain remained would drive too little of it.",
    "In the same pilot, which started at 6.9%, the recipe without its regularizer ended at 2.4%, "
    "and with it alone at 3.7%: each lost more than all of the gain.",
    whole=False,
)  # fmt: skip

DOWNSTREAM = Rule(
    "above", 0.0, 0.5, "rank correlation",
    "0.5 is the conventional threshold of a large correlation (Cohen 1988). A large correlation "
    "means that the two move together, not that one improves the other.",
    "0.96 over 40 runs of several lengths; nearest class means are a linear classifier of the same "
    "features, so that this was to be expected.",
)  # fmt: skip
TRANSFER = Rule(
    "above", 0.0, 0.1, "growth of few-shot accuracy on classes never trained on",
    "Twenty classes have a chance level of five points. Twice that is more than training on "
    "random labels adds.",
    "The threshold was 5 points until two networks trained on random labels were seen to gain 5.6 "
    "and 8.1; a rule has to reject these, so it was raised. By then the recipe had come to 8.7, "
    "10.4 and 11.4 points.",
)  # fmt: skip

VIEW_SHARE = Rule(
    "above", 0.0, 0.05, "fall of the share of entropy that is specific to the view",
    "Information about the view is what training should forget. A twentieth of all that a "
    "representation holds is several times what halves of the images move.",
    "By only five images of 100 views each, at noise of 1%: the share fell from 51% to 38% in one "
    "small VICReg run, from 59% to about 40% in SimCLR, BYOL and a supervised run, and to 51% "
    "under invariance alone, where the information about the image halved.",
)  # fmt: skip
CLASS_SHARE = Rule(
    "above", 0.0, 0.02, "fall of the share of entropy that is specific to the image in its class",
    "What is not specific is what features tell about the class, at most log 100 nats. Two parts "
    "in a hundred of some 20 nats are a tenth of that.",
    "At noise of 1%, the share fell from 93.2% to 88.4% in one small VICReg run, from 94.0% to "
    "85.2% in a supervised one, to 92.0% in SimCLR, to 91.7% in BYOL, and to 93.4% under "
    "invariance alone.",
)  # fmt: skip

SEMANTIC = Rule(
    "above", 0.0, 0.05, "growth of the advantage in accuracy over the strongest control",
    _POINTS, "11.0 points over random groupings, on one small run." + _AGAINST_LOOKS,
)  # fmt: skip
HIERARCHY = Rule(
    "above", 0.0, 0.05, "least growth of the advantage over the strongest control",
    _POINTS + " It is asked of every level, because the mean would hide the one that fails.",
    "11.0 points at the coarse level over random groupings, on one small run." + _AGAINST_LOOKS,
)  # fmt: skip
TIME = Rule(
    "above", 0.0, 0.8, "rank correlation of the advantage with the epoch",
    "1 is a rise at every step. 0.8 lets neighbouring epochs change places, but not early and "
    "late ones.",
    "A correlation of 0.98 over random groupings on one small run. The advantages over groupings "
    "by pixels there, in points, from epoch 0 to 50: −1.3, −2.8, −1.8, 0.2, 2.9, 3.7.",
)  # fmt: skip
DEPTH = Rule(
    "above", 0.0, 0.8, "rank correlation of the advantage with the layer",
    "1 is a rise at every layer. With six layers, 0.8 lets neighbours change places, but not "
    "first and last.",
    "On one small run over random groupings: 0.94 with each layer's spatial mean, 0.83 with its "
    "whole map, which is flat from the third block on.",
)  # fmt: skip

GENERALITY = Rule(
    "above", 0.5, 0.75, "share of settings",
    "Below one half the claim fails more often than it holds; a rule of thumb that is said to "
    "hold across settings should not fail in more than one of four.",
    "54% and 71% of 24 runs of single seeds, by their advantage over one random grouping. Once the "
    "luck of that grouping was taken off, all three seeds of the reference fell short.",
)  # fmt: skip
