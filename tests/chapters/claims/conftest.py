"""Worlds: every recording that the claims ask for, all of one kind."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_companion.recordings import Recording, list_recordings

World = dict[str, Recording]
MakeWorld = Callable[[str], World]
KINDS = ("clusters", "untrained", "collapsed", "permuted")


@pytest.fixture(scope="session")
def world(
    write_synthetic: Callable[..., Recording], tmp_path_factory: pytest.TempPathFactory
) -> MakeWorld:
    """`world(kind)`: recordings by name; in "clusters" the regularizer is what clusters."""
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
        _copy(root, f"clustering-vicreg-s{seed}", f"regularizer-recipe-s{seed}")
    without = "collapsed" if kind == "clusters" else kind
    write("regularizer-invariance-only-s0", root, kind=without, seed=3)
    write("regularizer-regularizer-only-s0", root, kind=kind, seed=4, strength=0.55)
    for i, name in enumerate(("methods-simclr", "methods-byol", "architecture-vit",
                              "hyperparameters-lr-x3")):  # fmt: skip
        strength = 0.6 + 0.1 * i
        write(f"{name}-s0", root, kind=kind, seed=5 + i, strength=strength, features=False)
        for more in ("a", "b"):  # a dozen runs, so that their share has a narrow interval
            _copy(root, f"{name}-s0", f"{name}-{more}-s0")


def _copy(root: Path, name: str, to: str) -> None:
    shutil.copytree(root / name, root / to)
