"""A recording says what was measured, and measuring what it keeps says it again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from sklearn.neighbors import NearestCentroid as SklearnNearestCentroid

from ssl_companion.cli.measure import ncc_rows
from ssl_companion.data import ImageSet
from ssl_companion.data.hierarchy import GLYPHS100
from ssl_companion.data.images import LabelSet
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.recordings import (
    MeasureConfig,
    Recording,
    RecordingError,
    open_recording,
    write_recording,
)
from ssl_companion.recordings.config import Subsets
from ssl_companion.recordings.measuring import shuffled_labels
from ssl_companion.training.backbones import Backbone
from ssl_companion.training.config import RunConfig, run_config_from_dict
from ssl_companion.training.extract import extract, extract_views
from ssl_companion.training.runtime import generator
from ssl_companion.training.snapshots import load_snapshot, snapshot_path

from ..conftest import unseal
from .conftest import KEEP_ALL, Glyphs


@pytest.fixture(scope="session")
def train(glyphs: Glyphs, config: RunConfig) -> ImageSet:
    """What was trained on."""
    return glyphs[0].subset(config.images_per_class)


Network = Callable[[int], Backbone]


@pytest.fixture(scope="session")
def config(recording: Recording) -> RunConfig:
    return run_config_from_dict(recording.run["config"])


@pytest.fixture(scope="session")
def network(run_folder: Path, config: RunConfig) -> Network:
    """network(epoch): what was measured then."""
    return lambda epoch: load_snapshot(snapshot_path(run_folder / "snapshots", epoch), config)


def test_files_are_readable_without_the_package(recording: Recording) -> None:
    run = json.loads((recording.path / "run.json").read_text())
    for field in ("config", "seed", "git", "versions", "device", "wall_seconds", "start", "end"):
        assert field in run, field
    assert run["data"]["train_fingerprint"]
    assert run["data"]["stand_in"] is True
    losses = pd.read_csv(recording.path / "losses.csv")
    assert list(losses.epoch) == [1, 2]
    assert {"total", "invariance", "variance", "covariance", "lr"} <= set(losses.columns)
    measures = pd.read_csv(recording.path / "measures.csv.gz")
    columns = ["epoch", "layer", "level", "split", "measure", "value", "n"]
    assert list(measures.columns) == columns
    tensors = safetensors.numpy.load_file(recording.path / "features.safetensors")
    assert tensors["2/block1/test"].dtype == np.uint8
    assert tensors["2/block1/test.affine"].shape == (2, 6)
    assert set(safetensors.numpy.load_file(recording.path / "weights.safetensors"))


def test_totals_are_the_weighted_sums_of_the_terms(recording: Recording) -> None:
    terms = recording.losses
    expected = 25 * terms.invariance + 25 * terms.variance + terms.covariance
    np.testing.assert_allclose(terms.total, expected, rtol=1e-5)


def test_measuring_the_kept_features_again_gives_the_recorded_rows(recording: Recording) -> None:
    rows = ncc_rows(recording)
    assert {row["epoch"] for row in rows} == {0, 1, 2}
    for row in rows:
        for split in ("train", "test"):
            said = recording.select(
                epoch=row["epoch"], layer=row["layer"], level=row["level"],
                split=f"subset-{split}", measure="ncc",
            )  # fmt: skip
            assert len(said) == 1
            assert said.value.item() == pytest.approx(row[f"ncc_{split}"], abs=1e-6)
            assert said.n.item() == row[f"n_{split}"]


def test_full_rows_are_those_of_an_independent_measurement(
    recording: Recording, glyphs: Glyphs, network: Network, train: ImageSet
) -> None:
    backbone = network(2)
    test = glyphs[1]
    for level in ("fine", "coarse", "random-coarse"):
        x, y = extract(backbone, train.images)["block1"].numpy(), train.labels(level)
        z, w = extract(backbone, test.images)["block1"].numpy(), test.labels(level)
        oracle = SklearnNearestCentroid().fit(x.astype(np.float64), y)
        said = recording.select(epoch=2, layer="block1", level=level, measure="ncc")
        by_split = dict(zip(said.split, said.value, strict=True))
        assert by_split["train"] == pytest.approx(oracle.score(x.astype(np.float64), y), abs=1e-6)
        assert by_split["test"] == pytest.approx(oracle.score(z.astype(np.float64), w), abs=1e-6)


def test_the_kept_features_are_those_of_the_named_images(
    recording: Recording, glyphs: Glyphs, network: Network
) -> None:
    backbone = network(1)
    test = glyphs[1]
    place = {name: row for row, name in enumerate(test.files)}
    rows = [place[name] for name in recording.files("test")]
    np.testing.assert_array_equal(test.fine[rows], recording.fine("test"))
    exact = extract(backbone, test.images[rows])["block1"].numpy()
    kept = recording.features(1)
    step = (exact.max(axis=0) - exact.min(axis=0)) / 255
    assert (np.abs(kept - exact) <= 0.51 * step + 1e-6).all()


def test_only_the_chosen_epochs_keep_every_layer(recording: Recording) -> None:
    assert recording.kept_epochs("stem") == (0, 2)
    assert recording.kept_epochs() == (0, 1, 2)


def test_sample_level_rows_follow_from_the_same_views(
    recording: Recording, network: Network, config: RunConfig, train: ImageSet
) -> None:
    backbone = network(2)
    place = {name: row for row, name in enumerate(train.files)}
    rows = [place[name] for name in recording.files("sample")]
    total = KEEP_ALL.sample_views + KEEP_ALL.sample_fresh
    stream = generator(0, "sample-level")
    x = extract_views(backbone, train.images[rows], total, config.views, stream)["block1"].double()
    means = x[:, : KEEP_ALL.sample_views].mean(dim=1)
    fresh = x[:, KEEP_ALL.sample_views :].reshape(-1, x.shape[2])
    nearest = torch.cdist(fresh, means).argmin(dim=1)
    owner = torch.arange(len(rows)).repeat_interleave(KEEP_ALL.sample_fresh)
    said = recording.select(epoch=2, layer="block1", level="sample", split="test", measure="ncc")
    assert said.value.item() == pytest.approx((nearest == owner).double().mean().item(), abs=1e-6)
    np.testing.assert_allclose(recording.sample_means(2), means, rtol=2e-3, atol=1e-3)
    views, owners = recording.sample_views(2)
    assert views.shape == (len(rows) * KEEP_ALL.keep_fresh, 6)
    np.testing.assert_array_equal(np.bincount(owners), KEEP_ALL.keep_fresh)
    maps, of = recording.map_views(2)
    assert maps.shape == (6, 6)
    np.testing.assert_array_equal(of, [0, 0, 0, 1, 1, 1])


def test_rates_are_log_determinants_of_covariances(
    recording: Recording, network: Network, config: RunConfig, train: ImageSet
) -> None:
    backbone = network(2)
    place = {name: row for row, name in enumerate(train.files)}
    rows = [place[name] for name in recording.files("sample")]
    total = KEEP_ALL.sample_views + KEEP_ALL.sample_fresh
    stream = generator(0, "sample-level")
    views = extract_views(backbone, train.images[rows], total, config.views, stream)["block1"]
    fit = views[:, : KEEP_ALL.sample_views].double().numpy()
    x = extract(backbone, train.images)["block1"].double().numpy()
    each = {
        "sample": (fit.reshape(-1, 6), np.repeat(np.arange(len(rows)), KEEP_ALL.sample_views)),
        "fine": (x, train.fine),
        "random-image": (x, shuffled_labels(train)),
    }
    for level, (z, y) in each.items():
        whole, k = np.cov(z.T), len(np.unique(y))
        residual = z - np.stack([z[y == i].mean(axis=0) for i in range(k)])[y]
        within = residual.T @ residual / (len(z) - k)
        for noise in ("0.01", "0.1", "1"):
            expected = {
                name: np.linalg.slogdet(np.eye(6) + c / (float(noise) * np.trace(whole)))[1] / 2
                for name, c in (("rate", whole), ("rate_given", within))
            }
            said = recording.select(epoch=2, layer="block1", level=level, split="train")
            said = said.set_index("measure")
            names = ["rate_given"] if level == "random-image" else list(expected)
            for name in names:
                assert said.value[f"{name}@{noise}"] == pytest.approx(expected[name], rel=1e-5)
                assert said.n[f"{name}@{noise}"] == len(z)
            assert (f"rate@{noise}" in said.index) == (level != "random-image")


def test_all_images_as_classes(recording: Recording) -> None:
    rows = recording.select(level="sample-all")
    assert list(rows.epoch) == [2]
    assert rows.n.item() == recording.run["data"]["train_images"]
    assert 0 < rows.value.item() <= 1


def test_class_means_are_over_the_whole_training_set(
    recording: Recording, network: Network, train: ImageSet
) -> None:
    backbone = network(2)
    x = extract(backbone, train.images)["block1"].double().numpy()
    expected = np.stack([x[train.fine == k].mean(axis=0) for k in range(100)])
    np.testing.assert_allclose(recording.class_means(2), expected, rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(recording.class_counts, 2)


def test_some_epochs_and_some_sample_images_are_kept(
    recording: Recording, glyphs: Glyphs, tmp_path: Path, run_copy: Path
) -> None:
    """The kept are those of the whole recording, and what is measured stays the same."""
    few = replace(KEEP_ALL, keep_at=(0, 2), keep_samples=4, all_layers_at=(2,))
    write_recording(run_copy, tmp_path / "few", *glyphs, few, progress=False)
    kept = open_recording(tmp_path / "few")
    assert kept.kept_epochs() == (0, 2)
    assert kept.kept_epochs("stem") == (2,)
    assert len(kept.fine("sample")) == 4
    whole = {name: row for row, name in enumerate(recording.files("sample"))}
    rows = [whole[name] for name in kept.files("sample")]
    np.testing.assert_array_equal(kept.sample_means(2), recording.sample_means(2)[rows])
    views, image = kept.sample_views(2)
    np.testing.assert_array_equal(np.bincount(image), KEEP_ALL.keep_fresh)
    step = np.ptp(recording.sample_views(2)[0], axis=0) / 255
    own = recording.sample_views(2)[0].reshape(len(whole), KEEP_ALL.keep_fresh, -1)[rows]
    assert (np.abs(views - own.reshape(views.shape)) <= 1.01 * step + 1e-6).all()
    maps, _ = kept.map_views(2)
    assert maps.shape == (KEEP_ALL.map_images * KEEP_ALL.map_views, 6)

    def of_all(one: Recording) -> pd.DataFrame:
        table = one.measures
        return table[~table["split"].str.startswith("subset")].reset_index(drop=True)

    pd.testing.assert_frame_equal(of_all(kept), of_all(recording))
    said = kept.select(epoch=2, level="sample", split="subset-test", measure="ncc")
    assert said.n.item() == 4 * KEEP_ALL.keep_fresh
    means = torch.from_numpy(kept.sample_means(2))
    nearest = torch.cdist(torch.from_numpy(views), means).argmin(dim=1).numpy()
    assert said.value.item() == pytest.approx((nearest == image).mean(), abs=1e-6)


def test_the_kept_sample_images_are_of_as_many_classes_as_can_be() -> None:
    rng = np.random.default_rng(0)
    fine = rng.permutation(np.repeat(np.arange(100), 20))
    files = np.arange(2000).astype(str)
    train = test = LabelSet("none", "train", fine, files, "", GLYPHS100)
    for few in (100, 30):
        config = MeasureConfig(sample_images=500, keep_samples=few)
        chosen = Subsets.choose(train, test, config)
        assert len(np.unique(train.fine[chosen.sample[chosen.kept]])) == few
    everything = Subsets.choose(train, test, MeasureConfig()).kept
    np.testing.assert_array_equal(everything, np.arange(500))


def test_a_setting_that_came_later_tells_nothing_apart_at_its_default() -> None:
    known = set(MeasureConfig().settings())
    assert "keep_at" not in known
    assert "keep_samples" not in known
    assert {"keep_at", "keep_samples"} <= set(
        MeasureConfig(keep_at=(1,), keep_samples=2).settings()
    )


def test_the_kept_weights_are_the_network_that_was_measured(
    recording: Recording, glyphs: Glyphs, network: Network
) -> None:
    before, own = network(2), recording.backbone()
    assert not own.training
    for name, tensor in before.state_dict().items():
        torch.testing.assert_close(own.state_dict()[name], tensor, rtol=2**-11, atol=1e-7)
    measured, again = (extract(b, glyphs[1].images, precision="fp32") for b in (before, own))
    for layer in recording.layers:
        torch.testing.assert_close(again[layer], measured[layer], rtol=0.02, atol=0.01)


def test_an_encoder_beside_a_recording_is_measured_as_the_recording_was(
    recording: Recording, glyphs: Glyphs, train: ImageSet
) -> None:
    found = measure_encoder(recording.backbone(), train, test_images=glyphs[1], which="ncc")
    said = recording.select(epoch=2, layer="block1", split="test", measure="ncc")
    both = found.set_index("level")["value"].to_frame("now")
    both["then"] = said.set_index("level")["value"]
    assert len(both.dropna()) == 2 * len(recording.hierarchy.names) - 1  # all but "permuted"
    assert (both["now"] - both["then"]).abs().max() < 0.05  # rounding to half precision


def test_the_reader_on_the_page_needs_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "book/recordings.md").read_text("utf8")
    (reader,) = re.findall(r"```python\n(# reader\n.*?)```", page, re.DOTALL)
    assert "ssl_companion" not in reader
    (file,) = re.findall(r'"(book/recordings/.*\.safetensors)"', reader)
    (key,) = re.findall(r'^key = "(.*)"', reader, re.MULTILINE)
    if not (root / file).exists():
        pytest.skip(f"no {file}")
    monkeypatch.chdir(root)
    found: dict[str, np.ndarray] = {}
    exec(reader, found)
    epoch, layer, split = key.split("/")
    kept = open_recording((root / file).parent).features(int(epoch), layer, split)
    np.testing.assert_allclose(found["features"], kept, rtol=1e-6, atol=1e-6)


def test_weights_that_are_absent_or_of_another_network_are_refused(
    recording: Recording, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(recording.path, tmp_path / "copied"))
    weights = copied / "weights.safetensors"
    whole = safetensors.numpy.load_file(weights)
    name = next(k for k, tensor in whole.items() if tensor.ndim == 4)
    foreign = whole | {name: whole[name][:1]}
    for state in (foreign, {k: v for k, v in whole.items() if k != name}):
        safetensors.numpy.save_file(state, weights)
        unseal(copied)
        with pytest.raises(RecordingError, match=rf"has no '{re.escape(name)}' .* of a res-1-6"):
            open_recording(copied).backbone()
        shutil.copy(recording.path / "run.json", copied)
    safetensors.numpy.save_file(whole | {name: whole[name] + 1}, weights)
    with pytest.raises(RecordingError, match=r"another's: SHA-256 \w+, not \w+"):
        open_recording(copied).backbone()
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(RecordingError, match="altered, damaged"):
        open_recording(copied).backbone()
    weights.unlink()
    with pytest.raises(RecordingError, match="keeps no weights"):
        open_recording(copied).backbone()
