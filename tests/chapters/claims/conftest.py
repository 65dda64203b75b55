"""Worlds: every recording that the claims ask for, all of one kind."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ssl_companion.recordings import Recording, list_recordings
from ssl_companion.recordings.format import HELD_OUT, MEASURE_COLUMNS

World = dict[str, Recording]
MakeWorld = Callable[[str], World]
KINDS = ("clusters", "untrained", "collapsed", "permuted")


@pytest.fixture(scope="session")
def world(
    write_synthetic: Callable[..., Recording], tmp_path_factory: pytest.TempPathFactory
) -> MakeWorld:
    """`world(kind)`: recordings by name, and with them runs whose answer is known."""
    made: dict[str, World] = {}

    def make(kind: str) -> World:
        if kind not in made:
            root = tmp_path_factory.mktemp(kind)
            _record(root, kind, write_synthetic)
            made[kind] = {recording.name: recording for recording in list_recordings(root)}
        return made[kind]

    return make


def _record(root: Path, kind: str, synthetic: Callable[..., Recording]) -> None:
    # With fewer epochs or layers, groupings by lot are too often in the right order by chance; of
    # stronger clusters the upper levels come to the top early, and what is left of order is chance.
    write = functools.partial(synthetic, epochs=(0, 1, 2, 4, 8, 20))
    trajectory = functools.partial(write, kind=kind, layers=6, strength=0.7)
    for seed in (0, 1, 2):
        trajectory(f"clustering-vicreg-s{seed}", root, seed=seed, features=seed == 0)
        write(f"architecture-recipe-s{seed}", root, kind=kind, seed=seed, features=False)
    for i, name in enumerate(("methods-simclr", "methods-byol", "architecture-vit",
                              "hyperparameters-lr-x3")):  # fmt: skip
        strength = 0.6 + 0.1 * i
        write(f"{name}-s0", root, kind=kind, seed=5 + i, strength=strength, features=False)
        for more in ("a", "b"):  # a dozen settings, so that their share has a narrow interval
            _copy(root, f"{name}-s0", f"{name}-{more}-s0")
    _record_known(root, kind, functools.partial(write, features=False))


#: what a run of each kind is, and its few-shot accuracy on classes held out, before and after
KNOWN = {
    "supervised": ("clusters", 0.2, 0.6),
    "by-lot": ("permuted", 0.2, 0.21),
    "collapsed": ("collapsed", 0.2, 0.1),
    "untrained": ("untrained", 0.2, 0.2),
}


def _record_known(root: Path, kind: str, write: Callable[..., Recording]) -> None:
    """The preset controls: the recipe as the world has it, and runs whose answer is known."""
    gained = 0.4 if kind == "clusters" else 0.2
    for of, (story, before, after) in {"recipe": (kind, 0.2, gained), **KNOWN}.items():
        for seed in (0, 1, 2) if of != "untrained" else (0,):
            run = write(f"controls-{of}-s{seed}", root, kind=story, seed=20 + seed, strength=0.8)
            _hold_out(run, before, after + 0.004 * seed * (after != before))


def _hold_out(run: Recording, before: float, after: float) -> None:
    table = pd.read_csv(run.path / "measures.csv.gz")
    rows = [
        (epoch, run.layers[-1], HELD_OUT, "test", "few5", value, 200)
        for epoch, value in ((run.epochs[0], before), (run.epochs[-1], after))
    ]
    more = pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))
    pd.concat([table, more]).to_csv(run.path / "measures.csv.gz", index=False)


def _copy(root: Path, name: str, to: str) -> None:
    shutil.copytree(root / name, root / to)
