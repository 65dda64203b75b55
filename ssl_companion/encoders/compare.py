"""Several encoders on the same images, and what the numbers allow to be said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from ssl_companion.data import Hierarchy
from ssl_companion.data.hierarchy import RANDOM, Level
from ssl_companion.encoders.evaluate import LOOKS, PERMUTED
from ssl_companion.encoders.examine import EncoderResult
from ssl_companion.measures import bootstrap_mean

Baseline = Literal["pixels", "untrained"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results of several encoders, of the same images.

    Attributes:
        results: by the encoder's name.
        data: what the images are called; nothing where they have no name.
        baselines: which of the encoders no one trained, by name: "pixels" or "untrained".
        seed: of the bootstrap.

    Raises:
        ValueError: no encoder at all, other test images among the results, or a baseline that is
            none of them.

    Example:
        >>> from ssl_companion.encoders.examine import examine
        >>> x, y = np.eye(4).repeat(3, 0), np.arange(4).repeat(3)
        >>> both = {name: examine(None, s * x, y, which="ncc")["features"]
        ...         for name, s in {"ones": 1.0, "zeros": 0.0}.items()}
        >>> float(Comparison(both).differences["value"].iloc[0])
        0.75
    """

    results: Mapping[str, EncoderResult]
    data: str = ""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.results:
            raise ValueError("results: none at all; expected one encoder or more, by name")
        first = next(iter(self.results))
        for name, one in self.results.items():
            if not _of_the_same_images(one, self.results[first]):
                raise ValueError(
                    f"results: test images of {name!r} are others than those of {first!r}; "
                    "expected the same images, in the same order and with the same labels; "
                    "measure both with the same test_images and seed"
                )
        if unknown := sorted(set(self.baselines) - set(self.results)):
            raise ValueError(
                f"baselines: {unknown[0]!r}; expected some of {', '.join(self.results)}"
            )

    @property
    def hierarchy(self) -> Hierarchy:
        """The levels of the labels."""
        return next(iter(self.results.values())).hierarchy

    @property
    def labels(self) -> np.ndarray:
        """Of the test images at the finest level, int64 [M]."""
        return next(iter(self.results.values())).labels

    @property
    def trained(self) -> list[str]:
        """Names of the encoders that are no baselines, or of all where there are none."""
        trained = [name for name in self.results if name not in self.baselines]
        return trained or list(self.results)

    def images(self, n: int) -> str:
        """So many held-out images, in words."""
        return f"{n:,} held-out images" + (f" of {self.data}" if self.data else "")

    @cached_property
    def table(self) -> pd.DataFrame:
        """All rows, each with its encoder in front."""
        parts = (one.rows.assign(encoder=name) for name, one in self.results.items())
        whole = pd.concat(parts, ignore_index=True)
        return whole[["encoder", *(c for c in whole.columns if c not in ("encoder", "layer"))]]

    @cached_property
    def differences(self) -> pd.DataFrame:
        """NCC accuracy of one encoder less another's, at every level, over the same test images.

        Encoder, other, level; value, low, high: a fraction, with its paired 95% interval
        (bootstrap over images); n.
        """
        rows = []
        for a, b in combinations(self.results, 2):
            for at, level in enumerate(self.hierarchy.names):
                apart = self.results[a].hits[at].astype(float) - self.results[b].hits[at]
                found = bootstrap_mean(apart, seed=self.seed)
                rows.append((a, b, level, found.value, found.low, found.high, len(apart)))
        columns = ["encoder", "other", "level", "value", "low", "high", "n"]
        return pd.DataFrame(rows, columns=columns)

    def row(self, encoder: str, level: str, measure: str = "ncc") -> Mapping[str, Any] | None:
        """One row of the table; None where there is none."""
        t = self.table
        found = t[(t["encoder"] == encoder) & (t["level"] == level) & (t["measure"] == measure)]
        return {str(k): v for k, v in found.iloc[0].items()} if len(found) else None


def _of_the_same_images(one: EncoderResult, other: EncoderResult) -> bool:
    """As far as labels, levels and the split in halves tell."""
    a, b = (np.empty(0) if x.rows_given is None else x.rows_given for x in (one, other))
    levels = zip(one.hierarchy.levels, other.hierarchy.levels, strict=False)
    return (
        np.array_equal(one.labels, other.labels)
        and np.array_equal(a, b)
        and one.hierarchy.names == other.hierarchy.names
        and all(np.array_equal(x.of_fine, y.of_fine) for x, y in levels)
    )


@dataclass(frozen=True)
class Unsupported:
    """A sentence that the numbers do not support, and why.

    Example:
        >>> Unsupported("It will do as well on other images.", "Only these were measured.").why
        'Only these were measured.'
    """

    sentence: str
    why: str


def quotable(comparison: Comparison) -> list[str]:
    """Sentences that the numbers support, each with its interval, its control and what it is of.

    Of every encoder that was trained, at the finest level and, where there is one, at the level
    above; and of the difference between the best of these and each of the others, where it is
    clear: by an exact sign test, corrected for the number of pairs.

    Example:
        >>> from ssl_companion.encoders.examine import examine
        >>> x, y = np.eye(4).repeat(3, 0), np.arange(4).repeat(3)
        >>> one = Comparison({"ones": examine(None, x, y, which="ncc")["features"]})
        >>> quotable(one)[0].partition(" (")[0]
        'On 4 held-out images, the nearest of 4 class means in the features of “ones” is the \
right one for 100.0%'
    """
    levels = comparison.hierarchy.levels[:2]
    said = [
        sentence
        for name in comparison.trained
        for level in levels
        if (sentence := _accuracy(comparison, name, level))
    ]
    return said + _clear_differences(comparison)


def _accuracy(comparison: Comparison, name: str, level: Level) -> str | None:
    found = comparison.row(name, level.name)
    if found is None:
        return None
    finest = level.name == comparison.hierarchy.names[0]
    control = comparison.row(name, PERMUTED if finest else RANDOM + level.name)
    beside = "" if control is None else (
        f"; with {'permuted labels' if finest else 'random groups of the same sizes'} "
        f"{control['value']:.1%} on average"
    )  # fmt: skip
    means = "class means" if finest else f"group means (level {level.name})"
    return (
        f"On {comparison.images(found['n'])}, the nearest of {level.k} {means} "
        f"in the features of “{name}” is the right one for {found['value']:.1%} (95% interval over "
        f"images: {found['low']:.1%} to {found['high']:.1%}{beside})."
    )


def best(comparison: Comparison) -> str:
    """The encoder of the highest NCC accuracy at the finest level, of those that were trained.

    Example:
        >>> from ssl_companion.encoders.examine import examine
        >>> x, y = np.eye(4).repeat(3, 0), np.arange(4).repeat(3)
        >>> best(Comparison({"ones": examine(None, x, y, which="ncc")["features"]}))
        'ones'
    """
    return max(comparison.trained, key=lambda name: comparison.results[name].hits[0].mean())


@dataclass(frozen=True)
class _Apart:
    """NCC accuracy of one encoder less that of another at the finest level, in points."""

    value: float
    low: float
    high: float
    p: float

    @property
    def clear(self) -> bool:
        """Whether one of them is surely ahead."""
        return self.p < 0.05 and not self.low <= 0 <= self.high

    def __str__(self) -> str:
        value, low, high = (f"{x + 0.0:+.1f}".replace("-0.0", "+0.0") for x in
                            (self.value, self.low, self.high))  # fmt: skip
        return f"{value} points (paired 95% interval: {low} to {high})"


def _apart(comparison: Comparison, a: str, b: str) -> _Apart:
    """The difference, its paired interval, and the p of the exact sign test over the images on
    which the two differ (McNemar 1947, doi:10.1007/BF02295996), times the number of pairs that are
    compared."""
    one, other = (comparison.results[name].hits[0].astype(int) for name in (a, b))
    found = bootstrap_mean((one - other).astype(float), seed=comparison.seed)
    differ = int((one != other).sum())
    p = stats.binomtest(int((one > other).sum()), differ).pvalue if differ else 1.0
    pairs = math.comb(len(comparison.results), 2)
    value, low, high = (100 * x for x in (found.value, found.low, found.high))
    return _Apart(value, low, high, min(1.0, p * pairs))


def _clear_differences(comparison: Comparison) -> list[str]:
    first, level = best(comparison), comparison.hierarchy.levels[0]
    said = []
    for name in comparison.results:
        apart = _apart(comparison, first, name) if name != first else None
        if apart is not None and apart.clear:
            ahead, behind = (first, name) if apart.value > 0 else (name, first)
            ends = sorted((abs(apart.low), abs(apart.high)))
            said.append(
                f"On the same {comparison.images(len(comparison.labels))}, the nearest of "
                f"{level.k} class means is the right one {abs(apart.value):.1f} "
                f"percentage points more often in the features of “{ahead}” than in those "
                f"of “{behind}” (paired 95% interval over images: {ends[0]:.1f} to {ends[1]:.1f})."
            )
    return said


def unsupported(comparison: Comparison) -> list[Unsupported]:
    """Sentences that a reader may want to write and that these numbers do not support.

    Example:
        >>> from ssl_companion.encoders.examine import examine
        >>> x, y = np.eye(4).repeat(3, 0), np.arange(4).repeat(3)
        >>> one = Comparison({"ones": examine(None, x, y, which="ncc")["features"]})
        >>> unsupported(one)[-1].sentence
        'It will do as well on other images.'
    """
    found = [
        *_no_clusters(comparison),
        *_of_baselines(comparison),
        *_ties(comparison),
        *_of_levels(comparison),
    ]
    found.append(
        Unsupported(
            "It will do as well on other images.",
            "Intervals cover the choice of test images among images like these, and neither other "
            "images nor another training run of the same encoder.",
        )
    )
    return found


_CLAIMS: dict[Baseline, tuple[str, str, str]] = {
    "untrained": (
        "Training made the clusters in {}.", "an untrained network", "`--baseline random`",
    ),
    "pixels": (
        "There are clusters in {} that the pixels do not have.", "the pixels",
        "`--baseline pixels`",
    ),
}  # fmt: skip


def _no_clusters(comparison: Comparison) -> list[Unsupported]:
    level, found = comparison.hierarchy.names[0], []
    for name in comparison.results:
        own, control = (comparison.row(name, at) for at in (level, PERMUTED))
        if own and control and not own["low"] > control["high"]:
            found.append(Unsupported(
                f"The features of “{name}” cluster by class.",
                f"Permuted labels reach {_beside(control, own)}. If this surprises you, check that "
                "the labels are in the order of the images.",
            ))  # fmt: skip
    return found


def _beside(control: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The intervals of a control and of the real labels or groups, which are not above it."""
    ends = [f"{of['low']:.1%} to {of['high']:.1%}" for of in (control, own)]
    overlap = " The two intervals overlap." if own["high"] >= control["low"] else ""
    return f"{ends[0]}, and the real ones {ends[1]}.{overlap}".removesuffix(".")


def _of_baselines(comparison: Comparison) -> list[Unsupported]:
    found = []
    for kind, (sentence, what, way) in _CLAIMS.items():
        beside = [name for name, one in comparison.baselines.items() if one == kind]
        if not beside:
            found.append(Unsupported(
                sentence.format("these features"),
                f"There is no measurement of {what} here to compare with; where the images are at "
                f"hand, {way} adds it.",
            ))  # fmt: skip
        for name in comparison.results:
            for other in beside if name not in comparison.baselines else ():
                apart = _apart(comparison, name, other)
                if apart.value <= 0 or not apart.clear:
                    found.append(Unsupported(
                        sentence.format(f"the features of “{name}”"),
                        f"Its NCC accuracy less that of “{other}” is {apart}: "
                        + ("below zero." if apart.high < 0 else "not clearly above zero."),
                    ))  # fmt: skip
                elif kind == "untrained" and not _same_architecture(comparison, name, other):
                    found.append(Unsupported(
                        sentence.format(f"the features of “{name}”"),
                        f"It is above “{other}”, which may be of another architecture. Only an "
                        "untrained network of its own architecture shows what training has done.",
                    ))  # fmt: skip
    return found


def _same_architecture(comparison: Comparison, name: str, other: str) -> bool:
    one, untrained = (comparison.results[x].about.get("backbone") for x in (name, other))
    return one is not None and one == untrained


def _ties(comparison: Comparison) -> list[Unsupported]:
    found = []
    for a, b in combinations(comparison.trained, 2):
        apart = _apart(comparison, a, b)
        if not apart.clear:
            ahead, behind = (a, b) if apart.value >= 0 else (b, a)
            found.append(Unsupported(
                f"“{ahead}” clusters these classes better than “{behind}”.",
                f"NCC accuracy of “{a}” less that of “{b}” is {apart}. By the images on which the "
                "two differ, and for as many pairs as are compared here, that may be chance.",
            ))  # fmt: skip
    return found


def _of_levels(comparison: Comparison) -> list[Unsupported]:
    found = []
    looked = False
    for level in comparison.hierarchy.levels[1:]:
        for name in comparison.trained:
            own, control, looks = (
                comparison.row(name, kind + level.name) for kind in ("", RANDOM, LOOKS)
            )
            looked = looked or looks is not None
            if own and looks and not own["low"] > looks["high"]:
                found.append(Unsupported(
                    f"The features of “{name}” follow the level {level.name}, and not only looks.",
                    f"Groups of classes that look alike, of the same sizes, reach "
                    f"{_beside(looks, own)}.",
                ))  # fmt: skip
            if own and control and not own["low"] > control["high"]:
                found.append(Unsupported(
                    f"The features of “{name}” follow the level {level.name}.",
                    f"Random groups of the same sizes reach {_beside(control, own)}.",
                ))  # fmt: skip
    if len(comparison.hierarchy.levels) > 1:
        found.append(Unsupported(
            "The encoder has learned what the upper levels mean.",
            "Members of a group may also be alike in other ways. Random groups"
            + (" and groups by mean colours and coarse shapes" if looked else "")
            + " do not rule that out.",
        ))  # fmt: skip
    return found
