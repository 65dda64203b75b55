"""One tiny run on 200 glyphs, recorded with everything that a recording can keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_companion.data import ImageSet, load
from ssl_companion.presets.record import record_run
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.training.config import LoopConfig, ObjectiveConfig, RunConfig

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
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageSet, ImageSet]:
    return load("glyphs100", "train").subset(4), load("glyphs100", "test").subset(2)


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
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(runs, recordings), filled by the fixtures below."""
    root = tmp_path_factory.mktemp("recorded")
    return root / "runs", root / "recordings"


@pytest.fixture(scope="session")
def recording(glyphs: tuple[ImageSet, ImageSet], folders: tuple[Path, Path]) -> Recording:
    assert record_run(tiny_run("tiny", tiny_config()), *glyphs, *folders, QUIET)
    return open_recording("tiny", folders[1])
