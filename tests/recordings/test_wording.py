"""Recordings are shown in the words used now, whatever the files of older ones have."""

from __future__ import annotations

import pytest

from ssl_companion.presets.catalogue import PRESET_NAMES, preset
from ssl_companion.presets.runs import SCALES
from ssl_companion.recordings import list_recordings
from ssl_companion.recordings.wording import current_words, join_title, title_parts

RES = "RES-5-32, CIFAR-100"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (f"VICReg, {RES}, 100 images a class, 28 epochs, seed 0; the recipe",
         f"VICReg, {RES}, 100 images per class, 28 epochs, seed 0; the recipe"),
        (f"VICReg, {RES}, 1 epochs, seed 0; not trained",
         f"VICReg, {RES}, 1 epoch, seed 0; untrained (learning rate 1e-9)"),
        (f"Supervised, {RES}, 15 epochs, seed 1; labels by lot",
         f"Supervised, {RES}, 15 epochs, seed 1; random labels"),
        (f"BYOL, {RES}, 28 epochs, seed 0; BYOL", f"BYOL, {RES}, 28 epochs, seed 0"),
        ("Supervised, RESNET18, seed 0; labels", "Supervised, ResNet-18, seed 0; labels"),
        ("CPU (AMD EPYC, 1 threads)", "CPU (AMD EPYC, 1 thread)"),
        ("CPU (AMD EPYC, 11 threads)", "CPU (AMD EPYC, 11 threads)"),
        ("Somebody's own, and more", "Somebody's own, and more"),
    ],
)  # fmt: skip
def test_old_words_are_replaced_and_others_kept(stored: str, shown: str) -> None:
    assert current_words(stored) == shown
    assert current_words(shown) == shown
    assert join_title(*title_parts(shown)) == shown


def test_a_recording_is_called_what_its_preset_would_call_it_today() -> None:
    runs = {
        (run.name, run.config.digest()): run
        for scale in SCALES
        for name in PRESET_NAMES
        for run in preset(name, scale).runs
    }
    shipped = [r for r in list_recordings() if (r.name, r.run["digest"]) in runs]
    for recording in shipped:
        run = runs[recording.name, recording.run["digest"]]
        assert (recording.title, recording.variant) == (run.title, run.variant)
    assert shipped
