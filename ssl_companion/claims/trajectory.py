"""Evidence from the trajectory, the preset "clustering": one run that keeps features, and seeds.

Clustering is judged over three seeds or more, by all test images and Student's interval; with
fewer, by a bootstrap over the kept test images of one run, measured live. What needs features that
only one run keeps is judged by that run: over classes and groupings where it is about levels.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ssl_companion.claims.claim import Evidence
from ssl_companion.claims.likeness import alike
from ssl_companion.findings import NotRecorded, clustering, compression, depth_time, hierarchy
from ssl_companion.findings import targets as random_targets
from ssl_companion.findings.generality import mean_order
from ssl_companion.findings.live import (
    Runs,
    final,
    hits,
    interval,
    over_seeds,
    resampled,
    start,
)
from ssl_companion.recordings import Recording

_NAME = re.compile(r"clustering-vicreg-s(\d+)")
SEEDS = 3  # below this, Student's interval says nothing


def seeds(recordings: Runs) -> list[Recording]:
    """The runs of the trajectory, by seed: the first, and those that differ in nothing else."""
    found = {int(m[1]): name for name in recordings if (m := _NAME.fullmatch(name))}
    runs = [recordings[found[seed]] for seed in sorted(found)]
    return [run for run in runs if alike(run, runs[0])]


def with_features(recordings: Runs) -> Recording:
    """The first of them that keeps features.

    Raises:
        NotRecorded: none does, or of one epoch only.
    """
    for run in seeds(recordings):
        kept = run.kept_epochs() if run.has_features else ()
        if len(kept) > 1 and kept[0] == run.epochs[0]:
            return run
    raise NotRecorded(
        "no recording clustering-vicreg-s* with features from before training and from later"
    )


def _names(runs: list[Recording]) -> tuple[str, ...]:
    return tuple(run.name for run in runs)


def clusters(recordings: Runs) -> Evidence:
    """How many times over its initialisation fine NCC accuracy rises."""
    run = with_features(recordings)
    runs = seeds(recordings)
    if len(runs) >= SEEDS:
        effect, over = over_seeds([_ratio(one) for one in runs], ratios=True), f"{len(runs)} seeds"
    else:
        effect, over, runs = clustering.gain(run), f"{len(run.fine())} test images", [run]
    note = f"NCC accuracy {start(run):.1%} before training, {final(run):.1%} after ({run.name})."
    return Evidence(effect, clustering.gain_on_permuted_labels(run), over, _names(runs), note)


def _ratio(run: Recording) -> float:
    first = start(run)
    return final(run) / first if first > 0 else float("nan")


def semantic_over_random(recordings: Runs) -> Evidence:
    """Growth of the coarse classes' advantage over random groupings of their sizes."""
    run = with_features(recordings)
    level = run.hierarchy.levels[1]
    effect = random_targets.growth_of_advantage(run, level)
    played = random_targets.growth_of_controls(run, level)
    shuffled = (
        start(run, level=random_targets.RANDOM_IMAGE),
        final(run, level=random_targets.RANDOM_IMAGE),
    )
    note = (
        f"Level {level.name!r}, {level.k} classes. Labels shuffled among the images: NCC accuracy "
        f"{shuffled[0]:.1%} before training and {shuffled[1]:.1%} after."
    )
    control = interval(float(played.mean()), played)
    return Evidence(effect, control, _classes_and_groupings(run), (run.name,), note)


def _classes_and_groupings(run: Recording) -> str:
    return f"{run.hierarchy.levels[0].k} classes and {random_targets.GROUPINGS} groupings"


def every_level(recordings: Runs) -> Evidence:
    """The least growth of the advantage over random groupings, among the upper levels."""
    run = with_features(recordings)
    table, effect = hierarchy.growth_by_level(run)
    by_level = [random_targets.growth_of_controls(run, level) for level in table["level"]]
    played = np.min(by_level, axis=0)  # the least of each shuffled tree
    control = interval(float(played.mean()), played)
    note = f"By level: {_by_level(table, '+.3f')}."
    return Evidence(effect, control, _classes_and_groupings(run), (run.name,), note)


def _by_level(table: pd.DataFrame, form: str) -> str:
    return ", ".join(f"{level} {value:{form}}" for level, value in table[["level", "value"]].values)


def over_time(recordings: Runs) -> Evidence:
    """Order of the advantage over random groupings along the epochs, averaged over levels."""
    return _ordered(recordings, "epoch", "epochs")


def over_depth(recordings: Runs) -> Evidence:
    """Order of the advantage over random groupings along the layers, after training."""
    return _ordered(recordings, "depth", "layers")


def _ordered(recordings: Runs, along: str, steps: str) -> Evidence:
    run = with_features(recordings)
    table, effect = depth_time.order_of_advantage(run, along)
    played = depth_time.order_of_controls(run, along)
    finite = played[np.isfinite(played)]
    control = interval(float(finite.mean()) if len(finite) else float("nan"), played)
    count = len(depth_time.places_along(run, along))
    runs = seeds(recordings)
    plain = [mean_order(one, along) for one in runs]
    note = f"{count} {steps}. By level: {_by_level(table, '.2f')}."
    if along == "depth":
        before = depth_time.order_of_advantage(run, "depth before training")[1]
        note += f" Before training: {before.value:.2f}."
    note += f" Of accuracy itself ({', '.join(one.name for one in runs)}): "
    note += ", ".join(f"{value:.2f}" for value in plain) + "."
    return Evidence(effect, control, _classes_and_groupings(run), _names(runs), note)


LEAST_CHANGE = 0.1
_HALVES = 20


def compresses(recordings: Runs) -> Evidence:
    """The share of estimators that fall while the classes cluster, less that of those that rise."""
    run = with_features(recordings)
    epochs = run.kept_epochs()
    whole, halves = compression.trajectories(run, epochs, halves=_HALVES)
    peaks = [epochs[i] for i in np.nan_to_num(whole, nan=-np.inf).argmax(axis=1)]
    rises = {epoch: _rises(run, epoch) for epoch in dict.fromkeys(peaks)}
    counts = np.array([rises[epoch] for epoch in peaks])
    fell = (compression.falls(whole) >= LEAST_CHANGE) & counts
    rose = compression.rises(whole) >= LEAST_CHANGE
    # Read backwards, what falls has risen. What merely wanders does as well either way.
    anyhow = np.ones_like(counts)
    back, back_halves = (_net(lines[..., ::-1], anyhow).mean(axis=-1) for lines in (whole, halves))
    return Evidence(
        interval(float(_net(whole, counts).mean()), _net(halves, counts).mean(axis=1)),
        interval(float(back), back_halves),
        f"{_HALVES} halves of the images",
        (run.name,),
        f"Of {len(whole)} estimators {_named(fell)} compress, {_named(rose)} expand.",
    )


def _net(lines: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """1 for a line that falls and counts, -1 for one that rises: [..., estimators]."""
    fell = (compression.falls(lines) >= LEAST_CHANGE) & counts
    rose = compression.rises(lines) >= LEAST_CHANGE
    net: np.ndarray = fell.astype(np.float64) - rose
    return net


def _named(which: np.ndarray) -> str:
    names = [n for n, yes in zip(compression.ESTIMATORS, which, strict=True) if yes]
    return f"{len(names)} ({', '.join(names)})" if names else "none"


def _rises(run: Recording, since: int) -> bool:
    """Whether fine NCC accuracy rises from an epoch to the last, beyond chance (95%)."""
    drawn = resampled(hits(run, "fine", (since, run.kept_epochs()[-1])))
    return bool(np.quantile(drawn[1] - drawn[0], 0.025) > 0)
