"""One tiny run on 200 glyphs, recorded with everything that a recording can keep."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_companion.data import ImageSet, load
from ssl_companion.presets.record import Budget, record_run
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.training.config import LoopConfig, ObjectiveConfig, RunConfig

from ..conftest import halved

Glyphs = tuple[ImageSet, ImageSet]
Folders = tuple[Path, Path]
Record = Callable[..., bool]
QUIET = LoopConfig(device="cpu", progress=False)
KEEP_ALL = MeasureConfig(
    sample_images=10,
    sample_views=4,
    sample_fresh=3,
    every_sample_at=(2,),
    every_sample_views=2,
    keep="all",
    all_layers_at=(0, 2),
    keep_train=1,
    keep_test=1,
    keep_fresh=2,
    map_images=2,
    map_views=3,
    weights=True,
)


@pytest.fixture(scope="session")
def glyphs() -> Glyphs:
    train, test = load("glyphs100", "train").subset(4), load("glyphs100", "test").subset(2)
    return halved(train), halved(test)


def tiny_config(objective: str = "vicreg", **fields: object) -> RunConfig:
    settings = {"backbone": "res-1-6", "projector_width": 8, "epochs": 2, "batch": 50}
    return RunConfig(
        objective=ObjectiveConfig(name=objective),  # type: ignore[arg-type]
        data="glyphs100",
        images_per_class=2,
        **(settings | fields),  # type: ignore[arg-type]
    )


def tiny_run(name: str, config: RunConfig, measure: MeasureConfig = KEEP_ALL) -> Run:
    return Run(name, "tiny", config, measure, (0, 1, 2))


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """(runs, recordings), filled by the fixtures below."""
    root = tmp_path_factory.mktemp("recorded")
    return root / "runs", root / "recordings"


@pytest.fixture(scope="session")
def recording(glyphs: Glyphs, folders: Folders) -> Recording:
    assert record_run(tiny_run("tiny", tiny_config()), *glyphs, *folders, QUIET)
    return open_recording("tiny", folders[1])


@pytest.fixture(scope="session")
def run_folder(recording: Recording, folders: Folders) -> Path:
    """Where the run of `recording` stands."""
    (folder,) = (path for path in folders[0].glob("tiny-*") if path.is_dir())
    return folder


@pytest.fixture
def run_copy(run_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


@pytest.fixture
def record(glyphs: Glyphs, tmp_path: Path) -> Record:
    """record(run, **options): into `tmp_path / "out"`."""

    def make(run: Run, budget: Budget | None = None, **options: bool) -> bool:
        where = tmp_path / "runs", tmp_path / "out"
        return record_run(run, *glyphs, *where, QUIET, budget, **options)

    return make
