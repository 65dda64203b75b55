"""An encoder of one's own as a recording: its numbers, what may be given, what is refused."""

from __future__ import annotations

import errno
import gc
import os
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestCentroid
from torch import Tensor, nn

from ssl_companion import measures
from ssl_companion.chapters.widgets import recordings_table
from ssl_companion.chapters.widgets.tables import provenance
from ssl_companion.data import Hierarchy, ImageSet, Level, load
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.hierarchy import hierarchy_from_dict, hierarchy_to_dict
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.record import record_encoder
from ssl_companion.presets.record import OccupiedError, record_run
from ssl_companion.presets.runs import Run
from ssl_companion.recordings import (
    MeasureConfig,
    Recording,
    RecordingError,
    group_means,
    measure_kept,
    open_recording,
)
from ssl_companion.recordings.quantised import compact
from ssl_companion.training.config import LoopConfig, RunConfig
from ssl_companion.training.snapshots import load_snapshot, snapshot_path

from ..conftest import halved

K, D = 4, 6
SIZES = (24, 30, 16, 20)  # classes need not be of one size


def clusters(strength: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    means = np.random.default_rng(9).normal(size=(K, D))
    y = np.repeat(np.arange(K), SIZES)
    noise = np.random.default_rng(seed).normal(size=(len(y), D))
    return (strength * means[y] + noise).astype(np.float32), y


def hierarchy() -> Hierarchy:
    fine = Level("fine", ("oak", "maple", "cat", "dog"), np.arange(K))
    return Hierarchy("mine", (fine, Level("kind", ("tree", "pet"), np.array([0, 0, 1, 1]))))


def record(destination: Path, *args: Any, **kwargs: Any) -> Recording:
    return record_encoder(*args, destination=destination, progress=False, **kwargs)


def test_the_rows_are_what_scikit_learn_and_the_measures_say(tmp_path: Path) -> None:
    x_test, z = clusters(1.0, seed=1)
    held = {"test_images": x_test, "test_labels": z}
    x, y = clusters(1.0, seed=0)
    mine = record(tmp_path / "mine", None, x, y, hierarchy=hierarchy(), **held)
    rule = NearestCentroid().fit(x, y)
    (row,) = mine.select(level="fine", split="test", measure="ncc").to_dict("records")
    assert row["value"] == pytest.approx(rule.score(x_test, z))
    assert (row["epoch"], row["layer"], row["n"]) == (0, "features", len(y))
    assert mine.select(level="fine", measure="cdnv")["value"].item() == pytest.approx(
        measures.cdnv(x, y), rel=1e-5
    )
    table = measure_encoder(None, x, y, hierarchy=hierarchy(), **held)
    for level in ("fine", "kind"):
        for measure in ("ncc", "linear"):
            here = mine.select(level=level, split="test", measure=measure)["value"].item()
            there = table.query("level == @level and measure == @measure")["value"].item()
            assert here == pytest.approx(there, abs=1e-6), (level, measure)
    assert {"random-kind", "random-image"} <= set(mine.measures["level"])


def test_it_is_a_recording_like_any_other(tmp_path: Path) -> None:
    x, y = clusters(1.0, seed=0)
    names = [f"picture {i}.png" for i in range(len(y))]
    record(tmp_path / "mine", None, Labelled(x, y, names), hierarchy=hierarchy(), title="Mine")
    mine = open_recording("mine", tmp_path)
    assert (mine.title, mine.layers, mine.epochs) == ("Mine", ("features",), (0,))
    assert mine.hierarchy.level("kind").class_names == ("tree", "pet")
    assert mine.class_counts.tolist() == [n // 2 for n in SIZES]
    assert len(mine.losses) == 0
    kept = [names.index(file) for file in mine.files("test")]
    np.testing.assert_array_equal(y[kept], mine.fine("test"))
    step = (x[kept].max(axis=0) - x[kept].min(axis=0)) / 255
    assert (np.abs(mine.features(0) - x[kept]) <= step).all()
    assert set(mine.files("train")).isdisjoint(mine.files("test"))
    for level in mine.hierarchy.levels:  # measured again, the features say what the rows say
        score = measure_kept(
            mine.class_means(0), mine.class_counts, torch.from_numpy(mine.features(0)),
            mine.fine("test"), level,
        )  # fmt: skip
        row = mine.select(split="subset-test", level=level.name)
        assert row["value"].item() == pytest.approx(score)
    facts = provenance(mine).frame[""]
    assert facts["run"] == "Mine"
    assert "training took" not in facts
    assert "measuring took" in facts
    assert recordings_table.inventory([mine])["scale"].item() == recordings_table.BY_HAND


def test_group_means_count_every_image_of_unequal_classes(tmp_path: Path) -> None:
    x, y = clusters(1.0, seed=0)
    held = {"test_images": x, "test_labels": y}
    mine = record(tmp_path / "mine", None, x, y, hierarchy=hierarchy(), **held)
    kind = mine.hierarchy.level("kind")
    found = group_means(mine.class_means(0), mine.class_counts, kind)
    expected = np.stack([x[kind.labels(y) == k].mean(axis=0) for k in range(kind.k)])
    np.testing.assert_allclose(found, expected, atol=2e-3)  # kept as float16


def test_features_by_epoch_and_layer(tmp_path: Path) -> None:
    y = clusters(0, 0)[1]
    by_epoch = {
        20: {"low": clusters(0.2, 1)[0], "high": clusters(2.0, 2)[0]},
        0: {"low": clusters(0.0, 3)[0], "high": clusters(0.0, 4)[0]},
    }
    mine = record(tmp_path / "mine", None, by_epoch, y)
    assert (mine.epochs, mine.layers) == ((0, 20), ("low", "high"))
    assert mine.kept_epochs("low") == mine.kept_epochs("high") == (0, 20)
    ncc = mine.select(level="fine", split="test", measure="ncc").set_index(["epoch", "layer"])
    assert ncc.loc[(20, "high"), "value"] > 0.8 > ncc.loc[(0, "high"), "value"]
    seed = np.int64(3)  # JSON holds Python's whole numbers only
    plain = record(tmp_path / "plain", None, {5: clusters(1.0, 0)[0]}, y, seed=seed)
    assert plain.run["seed"] == 3
    assert (plain.epochs, plain.layers) == ((5,), ("features",))


class Net(nn.Module):
    """Two layers of a small network, whose second has `width` dimensions."""

    def __init__(self, seed: int, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.low, self.high = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, width, 3, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        low = self.low(x).relu()
        return {"low": low, "high": self.high(low).relu()}


@pytest.fixture(scope="module")
def glyphs() -> tuple[ImageSet, ImageSet]:
    train, test = load("glyphs100", "train").subset(4), load("glyphs100", "test").subset(2)
    return halved(train), halved(test)


SMALL = MeasureConfig(
    keep="all", sample_images=12, sample_views=5, sample_fresh=3, map_images=2, map_views=4
)


def test_checkpoints_with_a_sample_level(tmp_path: Path, glyphs: tuple[ImageSet, ImageSet]) -> None:
    train, test = glyphs
    nets = {0: Net(0), 7: Net(1)}
    mine = record(
        tmp_path / "mine", nets, train, test_images=test, config=SMALL, sample_views=ViewConfig()
    )
    assert (mine.epochs, mine.layers) == ((0, 7), ("low", "high"))
    assert mine.hierarchy.names == train.hierarchy.names
    assert mine.stand_in
    assert mine.title == "Net of Glyphs-100 (stand-in)"
    (n,) = set(mine.select(level="sample", split="test", measure="ncc")["n"])
    assert n == 12 * 3
    means, (views, owners) = mine.sample_means(7), mine.sample_views(7)
    assert len(means) == 12
    score = float((cdist(views, means).argmin(axis=1) == owners).mean())
    kept = mine.select(level="sample", split="subset-test", epoch=7)["value"].item()
    assert kept == pytest.approx(score)
    assert len(mine.map_views(7)[0]) == 2 * 4
    table = measure_encoder(nets[7], train, test_images=test, which="ncc")
    for layer in mine.layers:
        row = mine.select(epoch=7, layer=layer, level="coarse", split="test", measure="ncc")
        same = table.query("layer == @layer and level == 'coarse'")["value"].item()
        assert row["value"].item() == pytest.approx(same)


def test_a_run_of_the_book_recorded_as_a_stranger_says_the_same(
    tmp_path: Path, glyphs: tuple[ImageSet, ImageSet]
) -> None:
    train, test = glyphs
    config = RunConfig(
        backbone="res-1-6", projector_width=8, epochs=1, batch=50, data="glyphs100",
        images_per_class=2, precision="fp32",
    )  # fmt: skip
    run = Run("theirs", "tiny", config, SMALL, (0, 1))
    loop = LoopConfig(device="cpu", progress=False)
    record_run(run, train, test, tmp_path / "runs", tmp_path, loop)
    theirs = open_recording("theirs", tmp_path)
    (folder,) = (one for one in (tmp_path / "runs").iterdir() if one.is_dir())
    network = load_snapshot(snapshot_path(folder / "snapshots", 1), config)
    mine = record(
        tmp_path / "mine", {1: lambda x: network.features(x)}, train.subset(2), test_images=test,
        config=SMALL, sample_views=config.views,
    )  # fmt: skip
    columns = ["epoch", "layer", "level", "split", "measure"]
    both = theirs.select(epoch=1).merge(mine.measures, on=columns, suffixes=("", "_mine"))
    labelled = both[(both["level"] != "sample") & ~both["measure"].isin(["linear"])]
    assert len(labelled) > 50
    np.testing.assert_allclose(labelled["value_mine"], labelled["value"], rtol=2e-3, atol=5e-3)
    sample = both[(both["level"] == "sample") & (both["measure"] == "ncc")]
    assert len(sample) == 2 * 2 + 1  # both layers, and what is kept of the last
    # Views are rounded to bytes here: one of 36 may fall to another side.
    np.testing.assert_allclose(sample["value_mine"], sample["value"], atol=0.1)


def test_checkpoints_are_asked_for_one_by_one(tmp_path: Path) -> None:
    x, y = clusters(1.0, seed=0)
    alive: list[weakref.ref[nn.Module]] = []

    def checkpoints() -> Iterator[tuple[int, nn.Module]]:
        for epoch in (0, 1, 2):
            gc.collect()
            assert sum(one() is not None for one in alive) <= 1, "the ones before are let go"
            net = nn.Linear(D, 3)
            alive.append(weakref.ref(net))
            yield epoch, net

    mine = record(tmp_path / "mine", checkpoints(), x, y)
    assert mine.epochs == (0, 1, 2)


def wide(x: Tensor) -> Tensor:
    return x.repeat(1, 2)


X, Y = clusters(1.0, seed=0)
PIXELS = np.zeros((len(Y), 3, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"encoder": {-1: wide}}, "epoch -1 after none; expected whole numbers"),
        ({"encoder": {"last": wide}}, "epoch 'last'"),
        ({"encoder": [(1, wide), (1, wide)]}, r"epoch 1 after \[1\]"),
        ({"encoder": [wide]}, "function among the checkpoints"),
        ({"encoder": {}}, "no checkpoint at all"),
        (
            {"encoder": {0: lambda x: {"a": x}, 1: lambda x: {"b": x}}},
            "layers b at epoch 1, a before",
        ),
        ({"images": {0: X}, "encoder": wide}, "images: a dictionary"),
        ({"images": {}}, "an empty dictionary"),
        ({"images": {0: {}}}, "no layer at epoch 0"),
        ({"images": {0: {1: X, "1": X}}}, r"the layers \[1, '1'\] at epoch 0; expected each of a"),
        (
            {"images": Labelled(X, names=["a", os.fsdecode(b"\xe9.png")] * 45)},
            r"names\[1\]: '.udce9.png'; expected text .* `os.fsencode\(name\).decode\('latin-1'\)`",
        ),
        ({"images": {0: X, 1: X[1:]}}, "expected 89, one for each row of"),
        ({"images": {0: X}, "test_images": {1: X}, "test_labels": Y}, "expected those of images"),
        ({"images": Labelled(X, names=["one"])}, "names: 1 for 90 images"),
        ({"test_labels": Y}, "given without test_images"),
        ({"test_images": X[:50], "test_labels": Y[:50]}, "class 2 is absent"),
        ({"hierarchy": Hierarchy("two", (Level("fine", ("a", "b"), np.arange(2)),))}, "hierarchy"),
        ({"sample_views": ViewConfig()}, "uint8"),
        ({"sample_views": ViewConfig(), "images": PIXELS, "encoder": wide}, "uint8"),
        ({"config": MeasureConfig(weights=True)}, "weights=True; expected none of"),
        ({"images": np.full_like(X, np.nan)}, "images"),
        ({"images": np.ma.masked_greater(X, 2.5)}, "images: a masked array"),
        ({"images": {0: {"a": np.ma.masked_greater(X, 2.5)}}}, "images: a masked array"),
        ({"test_images": X[:, :4], "test_labels": Y}, "4 dimensions of 'features' at epoch 0"),
        ({"encoder": {0: lambda x: {"a/b": x}}}, "a layer 'a/b'; expected names without '/'"),
        ({"encoder": {2**60: wide}}, "epoch 1152921504606846976"),
        ({"encoder": 5}, "encoder: int; expected a module"),
        ({"encoder": "net"}, "encoder: str"),
        ({"encoder": {0: "net"}}, "encoder: 'net'"),
        ({"title": 3}, "title: int; expected str"),
        ({"seed": 0.5}, "seed: 0.5; expected an integer"),
        ({"config": {"keep": "all"}}, "config: dict; expected MeasureConfig"),
        ({"sample_views": 5}, "sample_views: int; expected ViewConfig"),
        ({"images": Labelled(X, names="abc")}, "names: str; expected a list"),
    ],
)
def test_what_will_not_do_is_named_and_nothing_is_written(
    given: dict[str, Any], said: str, tmp_path: Path
) -> None:
    given = {"encoder": None, "images": X, "labels": Y} | given
    with pytest.raises(ValueError, match=said):
        record_encoder(destination=tmp_path / "mine", progress=False, **given)
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_replaced_on_request_only_and_a_folder_never(tmp_path: Path) -> None:
    record(tmp_path / "mine", None, X, Y, title="first")
    with pytest.raises(OccupiedError, match="overwrite=True"):
        record(tmp_path / "mine", None, X, Y, title="second")
    with pytest.raises(ValueError, match="epoch"):  # what fails midway replaces nothing
        record(tmp_path / "mine", [(0, wide), (0, wide)], X, Y, overwrite=True)
    assert open_recording(tmp_path / "mine").title == "first"
    record(tmp_path / "mine", None, X, Y, title="second", overwrite=True)
    assert open_recording(tmp_path / "mine").title == "second"
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(RecordingError, match="is no recording"):
        record(tmp_path / "letters", None, X, Y, overwrite=True)
    assert (tmp_path / "letters" / "a.txt").read_text() == "dear"


def test_of_two_at_once_one_is_written_and_the_other_told(tmp_path: Path) -> None:
    both, told = threading.Barrier(2, timeout=60), []

    def once(title: str) -> None:
        def encoder(x: Tensor) -> Tensor:
            if not waited:  # both have seen that the place is free
                waited.append(both.wait())
            return x

        waited: list[int] = []
        try:
            told.append(record(tmp_path / "mine", encoder, X, Y, title=title).title)
        except OccupiedError as error:
            told.append(str(error))

    threads = [threading.Thread(target=once, args=(title,)) for title in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lost,) = (one for one in told if "holds a recording already" in one)
    assert "overwrite=True" in lost
    assert {open_recording(tmp_path / "mine").title, lost} == set(told)


def test_a_full_disk_is_named_without_promising_what_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "mine", None, X, Y, title="first")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ssl_companion.recordings.writing.safetensors.torch.save_file", full)
    with pytest.raises(RecordingError, match=r"No space left.*do the same again") as caught:
        record(tmp_path / "mine", None, X, Y, title="second", overwrite=True)
    assert "is kept" not in str(caught.value)
    assert open_recording(tmp_path / "mine").title == "first"
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".lock"] == ["mine"]


@pytest.mark.parametrize(
    "damage", [('"of_fine"', '"of_find"'), ('"levels"', '"floors"'), ('"tree",', "")]
)
def test_a_damaged_hierarchy_is_named(tmp_path: Path, damage: tuple[str, str]) -> None:
    record(tmp_path / "mine", None, X, Y, hierarchy=hierarchy())
    file = tmp_path / "mine" / "run.json"
    whole = file.read_text()
    assert damage[0] in whole
    file.write_text(whole.replace(*damage))
    with pytest.raises(RecordingError, match=r"run\.json: has no usable hierarchy"):
        open_recording(tmp_path / "mine")


def test_a_hierarchy_survives_being_written() -> None:
    again = hierarchy_from_dict(hierarchy_to_dict(hierarchy()))
    assert (again.name, again.names) == ("mine", ("fine", "kind"))
    for one, other in zip(hierarchy().levels, again.levels, strict=True):
        assert one.class_names == other.class_names
        np.testing.assert_array_equal(one.of_fine, other.of_fine)


@settings(max_examples=60, deadline=None)
@given(scale=st.floats(-12, 12), offset=st.floats(-6, 6), seed=st.integers(0, 99))
def test_kept_means_stay_apart_at_any_scale_and_offset(
    scale: float, offset: float, seed: int
) -> None:
    """Half precision ends at 65,504 and has three digits; features of strangers know neither."""
    z = np.random.default_rng(seed).normal(size=(K, D))
    means = torch.from_numpy(10**scale * (z + 10**offset)).float()
    kept = compact(means).double()
    exact = means.double()
    error = (kept - exact).square().mean().sqrt()
    apart = (exact - exact.mean(dim=0)).square().mean().sqrt()
    assert torch.isfinite(kept).all()
    assert error <= 0.1001 * apart


def test_a_place_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    def never(x: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the encoder ran")

    images, labels = np.zeros((4, 3, 8, 8), np.uint8), np.array([0, 0, 1, 1])
    with pytest.raises(RecordingError, match="no recording can be written there"):
        record_encoder(never, images, labels, destination=tmp_path / "file/mine")
