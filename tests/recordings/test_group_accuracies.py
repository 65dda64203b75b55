"""Accuracies under groupings of every level, of steps and of held-out classes: against others'."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestCentroid

from ssl_companion.data import load
from ssl_companion.data.hierarchy import GLYPHS100, held_out_classes, random_grouping
from ssl_companion.data.images import balanced_indices
from ssl_companion.recordings import (
    DamagedError,
    GroupAccuracies,
    MeasureConfig,
    Recording,
    RecordingError,
    group_accuracies,
    open_recording,
    read_group_accuracies,
)
from ssl_companion.recordings.format import GROUPINGS_FILE, LEVELS_FILE
from ssl_companion.recordings.group_accuracies import (
    PLACE_KEEPING,
    balanced_accuracies,
    balanced_of_hits,
    class_products,
    hits_by_products,
    products_of_maps,
)
from ssl_companion.recordings.groupings import read_groupings
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.config import RunConfig, run_config_from_dict
from ssl_companion.training.extract import extract, extract_maps, recalibrate_batchnorm
from ssl_companion.training.run import read_run, training_images
from ssl_companion.training.snapshots import load_snapshot, snapshot_path

from ..conftest import unseal
from .conftest import Folders, Glyphs, Record, tiny_config, tiny_run

FEW = MeasureConfig(sample_images=10, sample_views=4, sample_fresh=3, probes=False)
ABOVE = GLYPHS100.names[1:]


def oracle(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, z: np.ndarray) -> float:
    """Balanced accuracy by scikit-learn; classes have as many images as each other."""
    rule = NearestCentroid().fit(x.astype(np.float64), y)
    return float(balanced_accuracy_score(z, rule.predict(x_test.astype(np.float64))))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-1e3, 1e3))
def test_accuracies_by_products_are_those_of_the_nearest_mean(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    fine, test = np.repeat(np.arange(100), 3), np.repeat(np.arange(100), 2)
    centres = rng.standard_normal((100, 5))
    x = centres[fine] + 0.5 * rng.standard_normal((300, 5)) + shift
    x_test = centres[test] + 0.5 * rng.standard_normal((200, 5)) + shift
    means = torch.from_numpy(np.stack([x[fine == k].mean(axis=0) for k in range(100)]))
    levels = [GLYPHS100.levels[0], *(random_grouping(GLYPHS100.level(n), seed) for n in ABOVE)]
    groups = np.stack([level.of_fine for level in levels])
    found = balanced_accuracies(
        class_products(torch.from_numpy(x_test), means), class_products(means, means),
        test, np.full(100, 3), groups,
    )  # fmt: skip
    expected = [oracle(x, of[fine], x_test, of[test]) for of in groups]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("at_once", [1, 4000, 2**20])
def test_groupings_searched_together_are_those_searched_one_by_one(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(group_accuracies, "_SCORES", at_once)
    rng = np.random.default_rng(0)
    fine, counts = rng.integers(0, 100, 300), rng.integers(1, 9, 100)
    x, means = rng.standard_normal((300, 6)), rng.standard_normal((100, 6))
    levels = [GLYPHS100.level(name) for name in (*ABOVE, *ABOVE[::-1])]
    groups = np.stack([random_grouping(one, i).of_fine for i, one in enumerate(levels)])
    products, gram = (class_products(torch.from_numpy(of), torch.from_numpy(means))
                      for of in (x, means))  # fmt: skip
    found = hits_by_products(products, gram, fine, counts, groups)
    for hits, of in zip(found, groups, strict=True):
        share = np.eye(of.max() + 1)[of] * counts[:, None]
        of_groups = (share / share.sum(axis=0)).T @ means
        nearest = ((x[:, None] - of_groups) ** 2).sum(axis=2).argmin(axis=1)
        assert np.array_equal(hits, np.bincount(fine[nearest == of[fine]], minlength=100))


def test_a_class_without_images_is_left_out_and_so_is_a_group_without_classes() -> None:
    images, groups = np.array([4, 0, 2, 0]), np.array([[0, 0, 1, 2]])
    assert balanced_of_hits(np.array([[2, 0, 2, 0]]), images, groups) == [0.75]


@pytest.mark.parametrize("name", ["res-1-4", "vit-1-8"])
def test_maps_that_keep_the_place_are_searched_as_the_whole_vectors_would_be(name: str) -> None:
    train, test = (load("glyphs100", split).subset(2) for split in ("train", "test"))
    backbone = make_backbone(name, seed=0).eval()
    maps = [
        {
            layer: torch.cat([m[layer] for _, m in extract_maps(backbone, of.images, batch=70)])
            for layer in backbone.layers
        }
        for of in (train, test)
    ]
    groups = GLYPHS100.level("coarse").of_fine[None]
    counts, names = np.bincount(train.fine), []
    for tap, products, gram in products_of_maps(backbone, train, test, "bf16"):
        layer, form = tap.split("@")
        x, x_test = (PLACE_KEEPING[form](m[layer]).numpy() for m in maps)
        assert x.shape[1] == {"2x2": 4, "flat": 64}[form] * backbone.width
        (found,) = balanced_accuracies(products, gram, test.fine, counts, groups)
        y, z = train.labels("coarse"), test.labels("coarse")
        assert found == pytest.approx(oracle(x, y, x_test, z), abs=0.011), tap  # a near tie or two
        names.append(tap)
    assert names == [f"{layer}@{form}" for layer in backbone.layers for form in PLACE_KEEPING]


@pytest.fixture(scope="session")
def found(recording: Recording) -> GroupAccuracies:
    return read_group_accuracies(recording)


def test_every_level_has_itself_random_groupings_and_looks(found: GroupAccuracies) -> None:
    counted = Counter(zip(found.levels.tolist(), found.kinds.tolist(), strict=True))
    looks = ("pixels", "whitened pixels", "before training")
    expected = {("fine", "semantic"): 1}
    for level in ABOVE:
        expected |= {(level, "semantic"): 1, (level, "random"): 100}
        expected |= {(level, kind): 10 for kind in looks}
    assert counted == expected
    for level in ABOVE:
        own = GLYPHS100.level(level)
        assert np.array_equal(found.groups[found.of(level, "semantic")], own.of_fine[None])
        seventh = found.groups[found.of(level, "random")[7]]
        assert np.array_equal(seventh, random_grouping(own, 7).of_fine)
        for kind in looks:
            for of_fine in found.groups[found.of(level, kind)]:
                assert sorted(np.bincount(of_fine)) == sorted(own.sizes)


def test_where_accuracies_are_kept(found: GroupAccuracies) -> None:
    taps = ["", "@2x2", "@flat"]
    ends = {(e, layer + tap) for e in (0, 2) for layer in ("stem", "block1") for tap in taps}
    assert set(found.balanced) == ends | {(1, "block1")}


def test_recorded_accuracies_are_those_of_an_independent_measurement(
    recording: Recording, found: GroupAccuracies, run_folder: Path, glyphs: Glyphs
) -> None:
    config = run_config_from_dict(recording.run["config"])
    network = load_snapshot(snapshot_path(run_folder / "snapshots", 2), config)
    train, test = glyphs[0].subset(2), glyphs[1]
    x, x_test = (extract(network, of.images)["block1"].numpy() for of in (train, test))
    for level, kind in (("fine", "semantic"), ("coarse", "pixels"), (ABOVE[-1], "random")):
        values = found.values(level, kind, [(2, "block1"), (0, "stem")])
        groups = found.groups[found.of(level, kind)]
        assert values.shape == (len(groups), 2)
        assert values.dtype == np.float64
        for value, of in zip(values[:5, 0], groups, strict=False):
            expected = oracle(x, of[train.fine], x_test, of[test.fine])
            assert value == pytest.approx(expected, abs=1e-5)
    said = recording.select(epoch=1, layer="block1", level="fine", split="test", measure="ncc")
    assert found.values("fine", "semantic", [(1, "block1")]).item() == pytest.approx(
        said.value.item(), abs=1e-5
    )


def test_what_is_not_there_is_named(found: GroupAccuracies) -> None:
    with pytest.raises(ValueError, match="level, kind: 'fine', 'random'; expected one of 'fine' w"):
        found.values("fine", "random", [])
    with pytest.raises(RecordingError, match="none at epoch 1, layer 'stem'; there are 0/block1, "):
        found.values("coarse", "random", [(1, "stem")])


Harm = Callable[[dict[str, np.ndarray]], object]


def _harmed(file: Path, harm: Harm) -> None:
    with safetensors.safe_open(file, framework="np") as there:
        about = there.metadata()
    tensors = safetensors.numpy.load_file(file)
    harm(tensors)
    safetensors.numpy.save_file(tensors, file, about)


def _cut(tensors: dict[str, np.ndarray], end: str) -> None:
    name = next(name for name in tensors if name.endswith(end))
    tensors[name] = np.ascontiguousarray(tensors[name][:-1])


def _cast(tensors: dict[str, np.ndarray], end: str) -> None:
    name = next(name for name in tensors if name.endswith(end))
    tensors[name] = tensors[name].astype(np.float32) + np.float32(0.5)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda x: x["groups"].__iadd__(1), "groupings of another hierarchy"),
        (lambda x: _cut(x, "balanced"), "accuracies of others"),
        (lambda x: _cut(x, "groups"), "truncated or foreign"),
        (lambda x: _cast(x, "balanced"), "type float32; expected uint16"),
    ],
)
def test_accuracies_of_another_kind_are_named(
    harm: Harm, said: str, recording: Recording, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(recording.path, tmp_path / "copied"))
    _harmed(copied / LEVELS_FILE, harm)
    with pytest.raises(DamagedError, match=rf"{LEVELS_FILE}: altered"):
        read_group_accuracies(open_recording(copied))
    unseal(copied)
    with pytest.raises(DamagedError, match=rf"{LEVELS_FILE}.*{said}"):
        read_group_accuracies(open_recording(copied))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda x: _cut(x, "groups"), "hits of others"),
        (lambda x: x.update(groups=x["groups"][:, 1:].copy()), "hits of others"),
        (
            lambda x: x.pop(next(name for name in x if name.endswith("hits"))),
            "truncated or foreign",
        ),
        (lambda x: _cast(x, "hits"), "float32; expected counts"),
        (lambda x: _cast(x, "groups"), "groups: torch.float32; expected counts"),
    ],
)
def test_counts_of_another_kind_are_named(harm: Harm, said: str, tmp_path: Path) -> None:
    run = open_recording("clustering-vicreg-s0")
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("run.json", GROUPINGS_FILE):
        shutil.copy(run.path / name, copied)
    assert len(read_groupings(open_recording(copied)).kinds)
    _harmed(copied / GROUPINGS_FILE, harm)
    with pytest.raises(DamagedError, match=rf"{GROUPINGS_FILE}: altered"):
        read_groupings(open_recording(copied))
    unseal(copied)
    with pytest.raises(DamagedError, match=rf"{GROUPINGS_FILE}.*{said}"):
        read_groupings(open_recording(copied))


def test_damaged_and_absent_accuracies_are_refused(recording: Recording, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(recording.path, tmp_path / "copied"))
    unseal(copied)
    file, content = copied / LEVELS_FILE, (recording.path / LEVELS_FILE).read_bytes()
    for harmed in (
        b"",
        content[:900],
        content[:-1],
        content.replace(b'random\\", 100', b'random\\", 099'),
    ):
        file.write_bytes(harmed)
        with pytest.raises(RecordingError, match="truncated or foreign"):
            read_group_accuracies(open_recording(copied))
    file.unlink()
    assert not open_recording(copied).has_group_accuracies
    with pytest.raises(RecordingError, match="keeps no accuracies under groupings"):
        read_group_accuracies(open_recording(copied))


def test_steps_between_epochs_are_measured_on_settled_networks(
    record: Record, glyphs: Glyphs, tmp_path: Path, recording: Recording
) -> None:
    assert recording.steps.empty
    assert list(recording.steps.columns) == ["step", "level", "split", "measure", "value", "n"]
    run = dataclasses.replace(tiny_run("steps", tiny_config(), FEW), steps=(1, 3))
    assert record(run)
    made = open_recording("steps", tmp_path / "out")
    steps = made.steps
    assert [*dict.fromkeys(steps.step)] == [0, 1, 3]
    assert len(steps) == 3 * (len(GLYPHS100.names) + 1)
    assert set(steps.split) == {"test"}
    assert set(steps.measure) == {"ncc"}
    start = made.select(epoch=0, layer="block1", split="test", measure="ncc").set_index("level")
    for row in steps[steps.step == 0].itertuples():
        assert row.value == start.value[row.level]
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    network = load_snapshot(snapshot_path(folder / "snapshots", 3, "step"), run.config)
    train, test = glyphs[0].subset(2), glyphs[1]
    recalibrate_batchnorm(network, train.images, run.config.views)
    x, x_test = (extract(network, of.images)["block1"].numpy() for of in (train, test))
    for level in GLYPHS100.names:
        (value,) = steps[(steps.step == 3) & (steps.level == level)].value
        rule = NearestCentroid().fit(x.astype(np.float64), train.labels(level))
        expected = rule.score(x_test.astype(np.float64), test.labels(level))
        assert value == pytest.approx(expected, abs=1e-6)


def test_the_first_losses_are_recorded(recording: Recording, run_folder: Path) -> None:
    first = recording.run["first_losses"]
    assert first == read_run(run_folder)["first_losses"]
    assert set(first) == {"total", "invariance", "variance", "covariance"}


@pytest.fixture
def held_out(record: Record, tmp_path: Path) -> tuple[Recording, RunConfig, Path]:
    config = tiny_config(held_out=True, batch=40)
    assert record(tiny_run("held", config, FEW))
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    return open_recording("held", tmp_path / "out"), config, folder


def test_classes_that_were_not_trained_on_are_measured_apart(
    held_out: tuple[Recording, RunConfig, Path], glyphs: Glyphs
) -> None:
    made, config, folder = held_out
    out = held_out_classes(GLYPHS100)
    assert made.held_out == tuple(out)
    seen, measured = training_images(config, glyphs[0]), glyphs[0].subset(2)
    assert made.run["images"]["fingerprint"] == seen.fingerprint
    assert made.run["images"]["n"] == 160
    assert made.run["data"]["train_fingerprint"] == measured.fingerprint
    assert made.run["data"]["train_images"] == 200
    network, test = load_snapshot(snapshot_path(folder / "snapshots", 2), config), glyphs[1]
    x, z = (extract(network, of.images)["block1"].double().numpy() for of in (measured, test))
    rows = made.select(epoch=2, split="test", layer="block1").set_index(["level", "measure"])
    for level, inside in (("held-out", True), ("seen", False)):
        a, b = (np.isin(of.fine, out) == inside for of in (measured, test))
        rule = NearestCentroid().fit(x[a], measured.fine[a])
        assert rows.value[level, "ncc"] == pytest.approx(rule.score(z[b], test.fine[b]), abs=1e-6)
        assert rows.n[level, "ncc"] == b.sum()
    # Two images of a class are all there are, and five are asked for.
    assert rows.value["held-out", "few5"] == pytest.approx(rows.value["held-out", "ncc"], abs=1e-6)


def test_few_labelled_images_of_the_held_out_classes(glyphs: Glyphs) -> None:
    from ssl_companion.recordings.measuring import AtLevel, held_out_rows

    rng, fine = np.random.default_rng(0), np.repeat(np.arange(6), 12)
    centres = rng.standard_normal((6, 3))
    x, z = (centres[fine] + rng.standard_normal((72, 3)) for _ in range(2))
    at = AtLevel.of((torch.from_numpy(x), fine), (torch.from_numpy(z), fine))
    scores = {row[:3]: row[3] for row in held_out_rows(at, [1, 3, 4])}
    inside = np.isin(fine, [1, 3, 4])
    few = []
    for seed in range(50):
        drawn = balanced_indices(np.searchsorted([1, 3, 4], fine[inside]), 5, seed)
        rule = NearestCentroid().fit(x[inside][drawn], fine[inside][drawn])
        few.append(rule.score(z[inside], fine[inside]))
    assert scores["held-out", "test", "few5"] == pytest.approx(np.mean(few))
    assert scores["held-out", "test", "few5"] < scores["held-out", "test", "ncc"]


def test_measures_of_an_unfinished_call_are_taken_up_whole(
    record: Record, folders: Folders, found: GroupAccuracies, recording: Recording, tmp_path: Path
) -> None:
    from ssl_companion.presets.record import Budget

    run, calls = tiny_run("tiny", tiny_config(), FEW), 0
    while not record(run, Budget(0)):
        calls += 1
        assert calls < 20
    again = read_group_accuracies(open_recording("tiny", tmp_path / "out"))
    assert np.array_equal(again.groups, found.groups)
    for place, values in found.balanced.items():
        np.testing.assert_array_equal(again.balanced[place], values)
