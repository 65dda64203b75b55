"""Evidence on compression: shares of the entropy that training makes smaller.

Two rows, after the authors' own review (arXiv:2304.09355): the share that is specific to the view,
and the share that is specific to the image within its class, before training less after it
(`analysis.conditional_entropy`). A network that sends all images to one point shrinks both; so a
run in which the information about the image falls has lost it, and not compressed it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ssl_companion.chapters.analysis import conditional_entropy
from ssl_companion.chapters.analysis.accuracies import NotRecorded, Runs, over_seeds
from ssl_companion.chapters.analysis.conditional_entropy import NOISE, NOISES, EntropyCourse
from ssl_companion.chapters.claims import known, rules
from ssl_companion.chapters.claims import runs as chosen
from ssl_companion.chapters.claims.decision import Control, Rule, Verdict, least
from ssl_companion.chapters.claims.evidence import Evidence, Part
from ssl_companion.chapters.claims.runs import SEEDS
from ssl_companion.measures import Interval
from ssl_companion.recordings import Recording


@dataclass(frozen=True)
class Row:
    """One row of the evidence: whose fall, in words, its rule, and what it is a share of."""

    quantity: str
    words: str
    rule: Rule


VIEW = Row("view_share", "specific to the view", rules.VIEW_SHARE)
IN_CLASS = Row("class_share", "specific to the image in its class", rules.CLASS_SHARE)
SHOWN = ("view_share", "class_share", "about_image")

# Runs of older presets that keep features and whose answer is known as well. They stand in only
# until the preset "controls" is recorded: without any control, nothing could be decided.
_OLDER = {
    "controls-supervised-s0": "methods-supervised-s0",
    "controls-collapsed-s0": "regularizer-invariance-only-s0",
}


class MeasuredEntropies:
    """The entropies before and after training of each run, computed once."""

    def __init__(self, noises: Sequence[float] = NOISES) -> None:
        self.noises = tuple(noises)
        self._courses: dict[str, EntropyCourse] = {}

    def __call__(self, run: Recording) -> EntropyCourse:
        """Of a run; raises `NotRecorded` if it has none."""
        name = str(run.path)
        if name not in self._courses:
            self._courses[name] = conditional_entropy.before_and_after(run, noises=self.noises)
        return self._courses[name]

    def fall(self, run: Recording, row: Row, noise: float = NOISE) -> Interval:
        """How far the row's share falls."""
        return self(run).fall(row.quantity, noise)

    def lost(self, runs: Sequence[Recording], noise: float = NOISE) -> str:
        """Why nothing counts as compressed: the information about the image fell; "" if not."""
        before, after = self.means(runs, "about_image", noise)
        if math.isnan(before) or after >= before:
            return ""
        left = "nothing" if math.isnan(after) else f"{after:.2g} nats"
        return f"the information about the image fell, from {before:.2g} nats to {left}"

    def means(self, runs: Sequence[Recording], quantity: str, noise: float) -> tuple[float, float]:
        """A quantity before and after training, means over runs."""
        at, n = self.noises.index(noise), len(runs)
        ends = [(c.whole[0][at], c.whole[-1][at]) for c in map(self, runs)]
        before, after = (sum(getattr(e[i], quantity) for e in ends) / n for i in (0, 1))
        return before, after


def can_tell(run: Recording) -> bool:
    """Whether a run has the entropies from before training and from later."""
    at = conditional_entropy.epochs_of(run)
    return len(at) > 1 and at[0] == run.epochs[0]


@dataclass(frozen=True)
class Judged:
    """Runs that are judged together: three seeds or more, or a single one."""

    runs: tuple[Recording, ...]
    names: tuple[str, ...]
    size: str
    which: str

    def part(
        self, row: Row, controls: tuple[Control, ...], of: MeasuredEntropies, noise: float
    ) -> Part:
        """Their part of the evidence on one row."""
        falls = [of.fall(run, row, noise) for run in self.runs]
        single = len(self.runs) == 1
        effect = falls[0] if single else over_seeds([fall.value for fall in falls])
        count = chosen.ONE_RUN if single else f"{len(self.runs)} seeds"
        behind = of(self.runs[0]).images_behind(row.quantity)
        own = f"1 run: interval over halves of its {behind:,} images"
        over = own if single and behind else count
        which = self.which or ("" if single else count)
        return Part(
            effect, controls, over, self.names, self.size, which, row.words, row.rule,
            pilot=single, lost=of.lost(self.runs, noise),
        )  # fmt: skip


def judged(recordings: Runs) -> list[Judged]:
    """The trajectory's recipe by size and implementation, and the recipe of the known answers."""
    found = []
    for looked in chosen.runs_to_judge_apart(recordings, can_tell):
        small = looked.name != looked.run.name
        same = {"": chosen.seeds, chosen.ONE_RUN: chosen.small_seeds}.get(looked.which)
        runs = tuple(filter(can_tell, same(recordings))) if same else ()
        runs = runs if len(runs) >= SEEDS else (looked.run,)
        names = chosen.names_of_small(runs) if small else tuple(run.name for run in runs)
        which = "" if len(runs) > 1 else looked.which
        found.append(Judged(runs, names, looked.size, which))
    recipe = tuple(filter(can_tell, known.known_runs(recordings, "recipe", known.TRAJECTORY)))
    if len(recipe) >= SEEDS:
        names = tuple(run.name for run in recipe)
        which = f"the recipe of the controls, {len(recipe)} seeds"
        found.append(Judged(recipe, names, chosen.SMALL_SIZE, which))
    return found


def with_known(recordings: Runs) -> Runs:
    """The recordings, with older runs in the place of known answers where none can tell."""
    if any(can_tell(run) for kind in known.KINDS for run in known.known_runs(recordings, kind)):
        return recordings
    older = {name: recordings[old] for name, old in _OLDER.items() if old in recordings}
    return {**recordings, **older}


def controls_of(
    recordings: Runs, row: Row, of: MeasuredEntropies, noise: float = NOISE, size: str = ""
) -> tuple[Control, ...]:
    """The same fall where its answer is known, beside runs of a size in words.

    Random labels are no control of the view's share: all views of an image have one such
    label, so that a network that learns them has to forget the view. Of classes they say nothing.
    """

    def fall(run: Recording) -> float:
        value = of.fall(run, row, noise).value
        if math.isnan(value) and not of.lost([run], noise):
            raise NotRecorded(f"{run.name}: no entropies at noise of {noise:g}")
        return value

    def lost(run: Recording) -> str:
        return of.lost([run], noise)

    beside = known.size_beside(size)
    found = known.controls(with_known(recordings), fall, size=beside, lost=lost)
    apart = known.KINDS["by-lot"].words if row is VIEW else None
    return tuple(control for control in found if control.words != apart)


def compresses(recordings: Runs) -> Evidence:
    """How far the shares fall that are specific to the view, and to the image in its class."""
    of, groups = MeasuredEntropies(), judged(recordings)
    if not groups:
        raise NotRecorded(
            "no run of the trajectory's recipe (clustering-vicreg-s*, controls-recipe-s*) with "
            "entropies in its table, or with features of views, from before training and after it"
        )
    parts = parts_at(recordings, groups, of, NOISE)
    used = [name for part in parts for name in part.recordings]
    said = (
        _absolute(groups[0], of),
        _by_noise(recordings, groups, of),
        chosen.left_out(recordings, used),
    )
    return Evidence(tuple(parts), " ".join(filter(None, said)))


def parts_at(
    recordings: Runs, groups: Sequence[Judged], of: MeasuredEntropies, noise: float
) -> list[Part]:
    """Both rows of every group at a level of noise.

    At another level than the rule's, without those that a table does not have at it, or of which
    it has no known answer.
    """
    found = []
    for row in (VIEW, IN_CLASS):
        sizes = {group.size for group in groups}
        answers = {size: controls_of(recordings, row, of, noise, size) for size in sizes}
        parts = [group.part(row, answers[group.size], of, noise) for group in groups]
        measured = [part for part in parts if part.controls and not math.isnan(part.effect.value)]
        found += parts if noise == NOISE else measured
    return found


def by_noise(
    recordings: Runs, groups: Sequence[Judged], of: MeasuredEntropies
) -> dict[Row, dict[float, Verdict]]:
    """The verdict on each row at each level of noise, the least of the groups'."""
    found: dict[Row, dict[float, Verdict]] = {VIEW: {}, IN_CLASS: {}}
    for noise in of.noises:
        parts = parts_at(recordings, groups, of, noise)
        for row, verdicts in found.items():
            own = [part.judged(row.rule) for part in parts if part.rule is row.rule]
            if own:
                verdicts[noise] = least(own)
    return found


def _by_noise(recordings: Runs, groups: Sequence[Judged], of: MeasuredEntropies) -> str:
    """How the verdicts depend on the noise, in a sentence."""
    said = []
    for row, verdicts in by_noise(recordings, groups, of).items():
        each = ", ".join(f"{verdict.value} at {noise:.0%}" for noise, verdict in verdicts.items())
        said.append(f"{row.words}: {each}")
    return f"By the noise, as a share of the variance: {'; '.join(said)}."


def _absolute(group: Judged, of: MeasuredEntropies) -> str:
    """What the entropies themselves do, in two sentences."""

    def ends(quantity: str, noise: float = NOISE) -> str:
        before, after = of.means(group.runs, quantity, noise)
        return f"from {before:.3g} to {after:.3g}"

    given = ", ".join(f"{ends('given_image', n)} at {n:.0%}" for n in of.noises)
    return (
        f"At noise of {NOISE:.0%}, H(Z) goes {ends('views')} nats and I(Z; image) "
        f"{ends('about_image')} ({', '.join(group.names)}). H(Z | image) itself: {given}."
    )


def answers(recordings: Runs, noise: float = NOISE) -> pd.DataFrame:
    """What is judged and every run whose answer is known, in one table.

    Returns:
        A row for each: trained (in words), recordings, answer ("" for what is judged), and for
        each quantity of `SHOWN` its mean over the runs in the columns "<quantity> before" and
        "<quantity> after"; lost, in words.
    """
    of, everything = MeasuredEntropies((noise,)), with_known(recordings)
    groups = [(group.runs, group.names, group.size, "") for group in judged(recordings)]
    for kind, answer in known.KINDS.items():
        runs = tuple(filter(can_tell, known.known_runs(everything, kind, known.TRAJECTORY)))
        if runs:
            names = tuple(run.name for run in runs)
            groups.append((runs, names, answer.words, answer.answer))
    rows = []
    for own, names, words, answer_of in groups:
        row: dict[str, object] = {"trained": words, "recordings": ", ".join(names),
                                  "answer": answer_of, "lost": of.lost(own, noise)}  # fmt: skip
        for quantity in SHOWN:
            row[f"{quantity} before"], row[f"{quantity} after"] = of.means(own, quantity, noise)
        rows.append(row)
    return pd.DataFrame(rows)
