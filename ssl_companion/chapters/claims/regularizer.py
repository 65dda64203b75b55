"""Evidence that the regularizer drives the clustering: what is lost when a term is weakened.

A run of each kind is an arm: the recipe, the recipe with either term's weight divided by five, and
without either term. The arms of a set differ in nothing but the objective; sets of different sizes
are judged apart. What an arm loses is a share of the recipe's own gain under the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd

from ssl_companion.chapters.analysis.accuracies import (
    RESAMPLES,
    NotRecorded,
    Runs,
    final,
    over_seeds,
    start,
)
from ssl_companion.chapters.analysis.pixel_baselines import compare_with_pixels
from ssl_companion.chapters.claims import rules
from ssl_companion.chapters.claims.decision import Control, Rule
from ssl_companion.chapters.claims.evidence import Evidence, Part
from ssl_companion.chapters.claims.runs import SEEDS, network_and_length, same_training
from ssl_companion.measures import Interval
from ssl_companion.measures.resampling import interval
from ssl_companion.recordings import Recording

RECIPE, WEAK, WEAK_INVARIANCE = "recipe", "weight-0.2", "invariance-0.2"
WITHOUT, WITHOUT_INVARIANCE, SHUFFLED = "invariance-only", "regularizer-only", "shuffled"

#: gains of a seed's arms -> what is lost, as a share of the recipe's gain
_Loss = Callable[[dict[str, float]], float]


class ArmSet(NamedTuple):
    """Runs that differ in their objective and their seed alone.

    Attributes:
        size: of the runs, in words.
        by_seed: of each seed, the runs by arm.
    """

    size: str
    by_seed: dict[int, dict[str, Recording]]

    def having(self, arms: Iterable[str]) -> dict[int, dict[str, Recording]]:
        """The seeds of which all these arms are recorded."""
        wanted = set(arms)
        return {seed: own for seed, own in self.by_seed.items() if wanted <= set(own)}

    def names(self, arms: Iterable[str], seeds: Iterable[int]) -> tuple[str, ...]:
        """What verdicts call the runs of these arms and seeds."""
        return tuple(self.by_seed[s][arm].name for s in seeds for arm in arms)


#: how the names of VICReg's interventions begin -> how those of the recipe that they change: those
#: of the chapter, and those on the network of the comparisons, whose recipe is recorded with these
_FAMILIES = {"regularizer": "regularizer-recipe", "terms-vicreg": "architecture-recipe"}


def arm_sets(recordings: Runs) -> list[ArmSet]:
    """The interventions in sets: in each, all that were trained as its first recipe was."""
    found = []
    for family, recipe in _FAMILIES.items():
        arms = {
            name: RECIPE
            if name.startswith(f"{recipe}-")
            else name.removeprefix(f"{family}-").rpartition("-s")[0]
            for name in recordings
            if name.startswith((f"{family}-", f"{recipe}-"))
        }
        recipes = [recordings[name] for name in sorted(arms) if arms[name] == RECIPE]
        by_seed: dict[int, dict[str, Recording]] = {}
        for name, arm in arms.items() if recipes else ():
            if same_training(recordings[name], recipes[0], but=("objective",)):
                by_seed.setdefault(recordings[name].run["seed"], {})[arm] = recordings[name]
        if by_seed:
            found.append(ArmSet(network_and_length(recipes[0]), dict(sorted(by_seed.items()))))
    return found


def elasticity(gains: dict[str, float]) -> float:
    """What the regularizer at 1/5 loses, less what the invariance at 1/5 loses."""
    return _over(gains[WEAK_INVARIANCE] - gains[WEAK], gains[RECIPE])


def necessity(gains: dict[str, float]) -> float:
    """What is lost without the regularizer."""
    return _over(gains[RECIPE] - gains[WITHOUT], gains[RECIPE])


def _over(lost: float, gain: float) -> float:
    return lost / gain if gain > 0 else math.nan


class _Row(NamedTuple):
    """One of the two rows of evidence."""

    words: str
    rule: Rule
    arms: tuple[str, ...]
    loss: _Loss


_ROWS = (
    _Row("elasticity", rules.ELASTICITY, (RECIPE, WEAK, WEAK_INVARIANCE), elasticity),
    _Row("necessity", rules.NECESSITY, (RECIPE, WITHOUT), necessity),
)


def regularizer_drives(recordings: Runs) -> Evidence:
    """What is lost by weakening either term, and without the regularizer; two parts for each set.

    A set of which a seed has all that both rows take is judged; what others lose is told beside.

    Raises:
        NotRecorded: there is no such set.
    """
    sets = arm_sets(recordings)
    arms = dict.fromkeys(arm for row in _ROWS for arm in row.arms)
    parts = [_part(one, row) for one in sets if one.having(arms) for row in _ROWS]
    if not parts:
        named = ", ".join(f"regularizer-{arm}-s*" for arm in arms)
        raise NotRecorded(f"no seed of which all of {named} are recorded, trained alike")
    return Evidence(tuple(parts), " ".join(_beside(one) for one in sets))


def _part(of: ArmSet, row: _Row) -> Part:
    by_seed = of.having(row.arms)
    several = len(by_seed) >= SEEDS
    seeds = list(by_seed) if several else list(by_seed)[:1]
    recipes = [own[RECIPE] for own in by_seed.values()]
    count = f"{len(seeds)} seeds"
    if several:
        losses = [row.loss(_gains(by_seed[seed], row.arms)) for seed in seeds]
        undefined = not all(map(math.isfinite, losses))
        effect = Interval(*[math.nan] * 3) if undefined else over_seeds(losses)
        over = count
    else:
        effect, images = _of_one_seed(by_seed[seeds[0]], row)
        over = f"1 run an arm: {images} test images"
    return Part(
        effect,
        _controls(of, row),
        over,
        of.names(row.arms, seeds),
        of.size,
        count if several else "1 seed",
        row.words,
        row.rule,
        pilot=not several,
        fails=_fails([recipe for recipe in recipes if recipe.run["seed"] in seeds]),
    )


def _gains(own: dict[str, Recording], arms: Iterable[str]) -> dict[str, float]:
    return {arm: gained(own[arm]) for arm in arms}


def gained(run: Recording) -> float:
    """Fine NCC accuracy after training less before it, of all test images.

    Raises:
        NotRecorded: one of them was not measured.
    """
    found = final(run) - start(run)
    if not math.isfinite(found):
        raise NotRecorded(f"{run.name} has no NCC accuracy before training or at its end")
    return found


def _of_one_seed(own: dict[str, Recording], row: _Row) -> tuple[Interval, int]:
    """A loss with an interval over test images, and how many there are.

    Each accuracy is drawn again as a binomial share, for itself: which images were right is kept
    for a part of them only. As the runs are right about the same images more often than that,
    the intervals are rather too wide. Arms of one seed begin alike, and share those draws.
    """
    rng, begun = np.random.default_rng(0), {}
    n = _test_images(own[RECIPE])
    drawn = {}
    for arm in row.arms:
        first, last = start(own[arm]), final(own[arm])
        if first not in begun:
            begun[first] = rng.binomial(n, first, RESAMPLES) / n
        drawn[arm] = rng.binomial(n, last, RESAMPLES) / n - begun[first]
    losses = [row.loss({arm: drawn[arm][i] for arm in row.arms}) for i in range(RESAMPLES)]
    return interval(row.loss(_gains(own, row.arms)), np.array(losses)), n


def _test_images(run: Recording) -> int:
    """Test images behind a run's final accuracy."""
    rows = run.select(measure="ncc", level="fine", split="test", layer=run.layers[-1])
    return int(rows["n"].iloc[-1])


def _fails(recipes: list[Recording]) -> str:
    """Why the recipe itself is no reference; "" where it is one."""
    for run in recipes:
        if not gained(run) > 0:
            return f"the recipe gains nothing that could be lost: {run.name}"
        for row in compare_with_pixels(run).to_dict("records"):
            if row["level"] == "fine" and not row["after"] > row["whitened"]:
                return (
                    f"the reference fails: the recipe ends at {row['after']:.1%}, below nearest "
                    f"class means of whitened pixels at {row['whitened']:.1%} ({run.name})"
                )
    return ""


def _controls(of: ArmSet, row: _Row) -> tuple[Control, ...]:
    """The same loss where it is known.

    Nothing is weakened where other seeds of the recipe take the arms' places; and everything is
    lost where the network before training takes that of the weakened regularizer.
    """
    recipes = {seed: own[RECIPE] for seed, own in of.by_seed.items() if RECIPE in own}
    if len(recipes) < 2:
        return ()
    nothing, everything = [], []
    for first, second in permutations([gained(run) for run in recipes.values()], 2):
        same = dict.fromkeys((WEAK_INVARIANCE, WITHOUT_INVARIANCE), first)
        nothing.append(row.loss({RECIPE: first, WEAK: second, WITHOUT: second, **same}))
        same = dict.fromkeys((WEAK_INVARIANCE, WITHOUT_INVARIANCE), second)
        everything.append(row.loss({RECIPE: first, WEAK: 0.0, WITHOUT: 0.0, **same}))
    names = of.names([RECIPE], recipes)
    return (
        Control(
            "the network before training in place of the weakened regularizer",
            interval(float(np.mean(everything)), np.array(everything)),
            "yes",
            names,
        ),
        Control(
            "the recipe under another seed in place of the weakened regularizer",
            interval(float(np.mean(nothing)), np.array(nothing)),
            "no",
            names,
        ),
    )


_WORDS = {
    WITHOUT: "without the regularizer",
    WITHOUT_INVARIANCE: "without the invariance",
    WEAK: "the regularizer at 1/5",
    "weight-0.04": "the regularizer at 1/25",
    WEAK_INVARIANCE: "the invariance at 1/5",
    SHUFFLED: "positives shuffled",
}


def losses(recordings: Runs) -> pd.DataFrame:
    """What share of the recipe's gain every intervention loses, set by set.

    Args:
        recordings: by name; those of several sizes are held apart.

    Returns:
        size, intervention, seeds, gain (the recipe's, mean), value, low, high (the share lost:
        its mean over seeds, with Student's interval from three seeds on, else NaN). Above 1 the
        run ends below where it began; below 0 it gains more than the recipe.
    """
    rows = []
    for one in arm_sets(recordings):
        for arm, words in _WORDS.items():
            own = one.having((RECIPE, arm))
            if not own:
                continue
            whole = [gained(runs[RECIPE]) for runs in own.values()]
            lost = [_over(g - gained(r[arm]), g) for g, r in zip(whole, own.values(), strict=True)]
            mean = float(np.mean(lost))
            several = len(lost) >= SEEDS and all(map(math.isfinite, lost))
            found = over_seeds(lost) if several else Interval(mean, math.nan, math.nan)
            rows.append({
                "size": one.size, "intervention": words, "seeds": len(own),
                "gain": float(np.mean(whole)),
                "value": found.value, "low": found.low, "high": found.high,
            })  # fmt: skip
    return pd.DataFrame(rows, columns=_LOSS_COLUMNS)


_LOSS_COLUMNS = ["size", "intervention", "seeds", "gain", "value", "low", "high"]


def interaction(own: dict[str, Recording]) -> float:
    """What both terms gain together beyond the sum of what either gains alone, as a share of it."""
    both, *alone = (gained(own[arm]) for arm in (RECIPE, WITHOUT, WITHOUT_INVARIANCE))
    return _over(both - sum(alone), both)


def _beside(of: ArmSet) -> str:
    """What each intervention loses under the first seed that has most of them, in a sentence; it
    is no part of the verdict."""
    recipes = {seed: own for seed, own in of.by_seed.items() if RECIPE in own}
    seed = max(recipes, key=lambda s: (len(recipes[s]), -s))
    own = recipes[seed]
    whole = gained(own[RECIPE])
    lost = [
        f"{words}: {_over(whole - gained(own[arm]), whole):.0%}".replace("-", "−")
        for arm, words in _WORDS.items()
        if arm in own
    ]
    said = f"The recipe gains {100 * whole:.1f} points ({of.size}, seed {seed})"
    said += f". The share of this gain that is lost: {', '.join(lost)}." if lost else "."
    if {RECIPE, WITHOUT, WITHOUT_INVARIANCE} <= set(own):
        said += f" Interaction of the two terms: {interaction(own):.0%} of the gain."
    return said
