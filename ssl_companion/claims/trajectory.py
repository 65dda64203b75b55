"""Evidence from the trajectory, the preset "clustering": one run that keeps features, and seeds.

Over three seeds or more, an effect's interval is over seeds (Student's) and the effect is of
all test images; with fewer, it is a bootstrap over the kept test images of one run, measured
live. What needs features that only one run keeps is always the latter.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

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
from ssl_companion.measures import Interval, NearestCentroid
from ssl_companion.recordings import Recording

_NAME = re.compile(r"clustering-vicreg-s(\d+)")
_ORDERS = (-1.0, 1.0)  # a rank correlation
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


def _effect(
    recordings: Runs,
    of_all: Callable[[Recording], float],
    live: Callable[[Recording], Interval],
    **how: Any,
) -> tuple[Interval, str, list[Recording]]:
    """Over seeds where there are enough (`how`: see `over_seeds`), else live on one run."""
    runs = seeds(recordings)
    if len(runs) >= SEEDS:
        values = [of_all(r) for r in runs]
        return over_seeds(values, **how), f"{len(runs)} seeds", runs
    run = with_features(recordings)
    return live(run), f"{len(run.fine())} test images", [run]


def _names(runs: list[Recording]) -> tuple[str, ...]:
    return tuple(run.name for run in runs)


def clusters(recordings: Runs) -> Evidence:
    """How many times over its initialisation fine NCC accuracy rises."""
    run = with_features(recordings)
    effect, over, runs = _effect(recordings, _ratio, clustering.gain, ratios=True)
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
    return Evidence(effect, control, _images_and_groupings(run), (run.name,), note)


def _images_and_groupings(run: Recording) -> str:
    return f"{len(run.fine())} test images and {random_targets.GROUPINGS} groupings"


def every_level(recordings: Runs) -> Evidence:
    """The least growth of the advantage over random groupings, among the upper levels."""
    run = with_features(recordings)
    table, effect = hierarchy.growth_by_level(run)
    by_level = [random_targets.growth_of_controls(run, level) for level in table["level"]]
    played = np.min(by_level, axis=0)  # the least of each shuffled tree
    parts = [f"{level} {value:+.3f}" for level, value in table[["level", "value"]].to_numpy()]
    control = interval(float(played.mean()), played)
    note = f"By level: {', '.join(parts)}."
    return Evidence(effect, control, _images_and_groupings(run), (run.name,), note)


def over_time(recordings: Runs) -> Evidence:
    """Order of NCC accuracy along the epochs, averaged over levels."""
    effect, over, runs = _effect(
        recordings,
        lambda run: mean_order(run, "epoch"),
        lambda run: depth_time.live_order(run, "epoch"),
        limits=_ORDERS,
    )
    return Evidence(effect, _shuffled_epochs(runs[0]), over, _names(runs))


def _shuffled_epochs(run: Recording, shuffles: int = 500) -> Interval:
    table = depth_time.by_layer_and_epoch(run)
    table = table[table["layer"] == run.layers[-1]]
    lines = table.pivot_table(index="level", columns="epoch", values="value").to_numpy()
    rng = np.random.default_rng(0)
    orders = [rng.permutation(lines.shape[1]) for _ in range(shuffles)]
    drawn = np.array([depth_time.rank_order(lines[:, order]).mean() for order in orders])
    return interval(float(drawn.mean()), drawn)


def over_depth(recordings: Runs) -> Evidence:
    """Order of NCC accuracy along the layers, averaged over levels, after training."""
    effect, over, runs = _effect(
        recordings,
        lambda run: mean_order(run, "depth"),
        lambda run: depth_time.live_order(run, "depth"),
        limits=_ORDERS,
    )
    before, _, _ = _effect(
        recordings,
        lambda run: mean_order(run, "depth before training"),
        lambda run: depth_time.live_order(run, "depth before training"),
        limits=_ORDERS,
    )
    return Evidence(effect, before, over, _names(runs), f"{len(runs[0].layers)} layers.")


LEAST_FALL = 0.1
_HALVES = 20


def compresses(recordings: Runs) -> Evidence:
    """The share of estimators that fall from their peak while the classes still cluster."""
    run = with_features(recordings)
    epochs = run.kept_epochs()
    whole, halves = compression.trajectories(run, epochs, halves=_HALVES)
    peaks = [epochs[i] for i in np.nan_to_num(whole, nan=-np.inf).argmax(axis=1)]
    rises = {epoch: _rises(run, epoch) for epoch in dict.fromkeys(peaks)}
    counts = np.array([rises[epoch] for epoch in peaks])
    permuted = {epoch: _rises(run, epoch, permute=True) for epoch in rises}
    control_counts = np.array([permuted[epoch] for epoch in peaks])
    fell, fell_half = (compression.falls(v) >= LEAST_FALL for v in (whole, halves))
    names = [n for n, yes in zip(compression.ESTIMATORS, fell & counts, strict=True) if yes]
    return Evidence(
        interval(float((fell & counts).mean()), (fell_half & counts).mean(axis=1)),
        interval(float((fell & control_counts).mean()), (fell_half & control_counts).mean(axis=1)),
        f"{_HALVES} halves of the images",
        (run.name,),
        f"{len(names)} of {len(fell)} estimators compress: {', '.join(names) or 'none'}.",
    )


def _rises(run: Recording, since: int, permute: bool = False) -> bool:
    """Whether fine NCC accuracy rises from an epoch to the last, beyond chance (95%)."""
    last = run.kept_epochs()[-1]
    hit = _permuted_hits(run, (since, last)) if permute else hits(run, "fine", (since, last))
    drawn = resampled(hit)
    return bool(np.quantile(drawn[1] - drawn[0], 0.025) > 0)


def _permuted_hits(run: Recording, epochs: tuple[int, int]) -> np.ndarray:
    """Hits [epochs, N] where every image has another's label."""
    rng = np.random.default_rng(0)
    y, z = rng.permutation(run.fine("train")), rng.permutation(run.fine("test"))
    rules = [NearestCentroid().fit(run.features(e, None, "train"), y) for e in epochs]
    found = [rule.predict(run.features(e)) for rule, e in zip(rules, epochs, strict=True)]
    return np.stack([np.asarray(labels) == z for labels in found])
