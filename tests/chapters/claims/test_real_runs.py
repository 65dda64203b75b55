"""The whole way once: networks trained on glyphs, recorded, judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssl_companion.chapters.claims import Verdict, judge
from ssl_companion.chapters.claims.known import beside_known
from ssl_companion.data import load
from ssl_companion.presets.record import record_run
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import MeasureConfig, Recording, list_recordings
from ssl_companion.training.config import LoopConfig, ObjectiveConfig, RunConfig
from ssl_companion.training.optim import OptimConfig

MEASURE = MeasureConfig(
    sample_images=20, sample_views=6, sample_fresh=2, keep="all", keep_train=4, keep_test=4,
    map_images=3, map_views=6, probes=False,
)  # fmt: skip
NAME = "clustering-vicreg-s0"


def _recorded(
    root: Path, objective: str, optim: OptimConfig, snapshots: tuple[int, ...]
) -> dict[str, Recording]:
    config = RunConfig(
        backbone="res-2-24",
        objective=ObjectiveConfig(name=objective),  # type: ignore[arg-type]
        optim=optim,
        projector_width=64,
        data="glyphs100",
        images_per_class=16,
        epochs=snapshots[-1],
        batch=100,
    )
    run = Run(NAME, "for a test", config, MEASURE, snapshots)
    sets = load("glyphs100", "train"), load("glyphs100", "test").subset(8)
    loop = LoopConfig(device="cpu", progress=False)
    assert record_run(run, *sets, root / "runs", root / "recordings", loop)
    return {recording.name: recording for recording in list_recordings(root / "recordings")}


@pytest.mark.slow
def test_a_network_that_learns_reproduces_and_one_that_stands_still_does_not(
    tmp_path: Path,
) -> None:
    # Labels make clusters for certain, and in a minute: what is tested is the way to the verdict.
    sgd = OptimConfig(name="sgd", lr=0.05, weight_decay=5e-4, warmup_epochs=1)
    learning = _recorded(tmp_path / "learning", "supervised", sgd, (0, 1, 4, 16))
    row = judge("clustering", beside_known(learning))
    # How far it gets depends on the device; that the interval excludes "nothing" does not.
    assert row.verdict in (Verdict.REPRODUCED, Verdict.PARTLY), (row.evidence, row.note)

    # From the third epoch on: before that, the statistics of the batch norms still settle, and
    # that alone moves the accuracy of a network whose weights stand still.
    still = _recorded(tmp_path / "still", "vicreg", OptimConfig(lr=1e-9), (3, 4, 5, 6))
    for name in ("clustering", "compression", "semantic-over-random", "hierarchy", "time"):
        row = judge(name, beside_known(still))
        unproven = (Verdict.NOT_REPRODUCED, Verdict.UNDECIDED, Verdict.NOT_MEASURED)
        assert row.verdict in unproven, (name, row.evidence, row.note)
