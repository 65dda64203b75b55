"""A run that other code trained: imported, held against its source, refused if it is not whole."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_companion.__main__ import main
from ssl_companion.data import ImageSet
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import (
    MeasureConfig,
    OccupiedError,
    Recording,
    RecordingError,
    importing,
    open_recording,
)
from ssl_companion.recordings.groupings import GROUPING_KINDS, read_groupings
from ssl_companion.recordings.importing import import_run, load_network, read_other_run
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.extract import extract

from .conftest import Glyphs

Arrays = dict[str, np.ndarray]
EPOCHS, BACKBONE = (0, 1, 2), "res-1-6"
CONFIG = MeasureConfig(
    sample_images=100, sample_views=3, sample_fresh=2, keep="last", keep_train=1, keep_test=1,
    keep_samples=100, map_images=2, map_views=3,
)  # fmt: skip
WEIGHTS = {0: "weights_fp16_epoch0.npz", 2: "weights_fp16.npz"}


def source(folder: Path, train: ImageSet, test: ImageSet) -> Path:
    """Such a folder: three networks stand for three epochs of one run."""
    folder.mkdir()
    measured = {}
    for epoch in EPOCHS:
        network = make_backbone(BACKBONE, seed=epoch)
        network.load_exported(
            {k: v.half().to(v.dtype) for k, v in network.exported_state().items()}
        )
        if epoch in WEIGHTS:
            state = {k: v.half().numpy() for k, v in network.exported_state().items()
                     if not k.endswith("num_batches_tracked")}  # fmt: skip
            np.savez(folder / WEIGHTS[epoch], **state)
        network.eval()
        x = extract(network, train.images, precision="fp32")
        z = extract(network, test.images, precision="fp32")
        means = [NearestCentroid().fit(v, train.fine).centroids_ for v in x.values()]
        np.savez(
            folder / f"features_{epoch:04d}.npz",
            test=np.stack([v.numpy() for v in z.values()]).astype(np.float16),
            class_means=np.stack(means).astype(np.float32),
            labels=test.fine,
            path=test.files.astype(str),
        )
        pairs = [[10.0 + epoch, 5.0 + epoch]] * len(z)
        measured[str(epoch)] = {
            "ncc_train_test_by_layer": dict.fromkeys(("fine", "coarse", "rand", "sample"), pairs),
            "linear_train_test": {"fine": [20.0, 10.0], "coarse": [30.0, 20.0]},
        }
    config = {"arch": "res6", "loss": "vicreg", "coef": [25.0, 25.0, 1.0], "epochs": 2, "bs": 50,
              "lr": 0.3, "opt": "lars"}  # fmt: skip
    results = {
        "config": config, "device": "a card", "train_seconds": 60.0, "epochs": measured,
        "loss_history_columns": ["total", "invariance", "variance", "covariance", "seconds"],
        "loss_history": [[3.0, 0.1, 0.7, 0.5, 2.0], [2.5, 0.1, 0.6, 0.4, 1.5]],
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="module")
def folder(glyphs: Glyphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return source(tmp_path_factory.mktemp("other") / "run", *glyphs)


@pytest.fixture(scope="module")
def imported(folder: Path, glyphs: Glyphs, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    root = tmp_path_factory.mktemp("imported")
    import_run(folder, root / "theirs", *glyphs, CONFIG, title="theirs", progress=False)
    return open_recording("theirs", root)


def test_features_and_means_of_every_epoch_and_layer_are_the_sources(
    imported: Recording, folder: Path, glyphs: Glyphs
) -> None:
    assert imported.epochs == EPOCHS
    place = {name: i for i, name in enumerate(glyphs[1].files.tolist())}
    rows = [place[name] for name in imported.files("test").tolist()]
    assert len(rows) == 100
    assert np.bincount(imported.fine("test")).tolist() == [1] * 100
    for epoch in EPOCHS:
        arrays = np.load(folder / f"features_{epoch:04d}.npz")
        for i, layer in enumerate(imported.layers):
            assert imported.kept_epochs(layer) == EPOCHS
            step = np.ptp(arrays["test"][i], axis=0).max() / 255
            wanted = arrays["test"][i][rows].astype(np.float32)
            assert np.abs(imported.features(epoch, layer) - wanted).max() <= step
            means = imported.class_means(epoch, layer)
            assert np.abs(means - arrays["class_means"][i]).max() <= step


def test_the_ends_are_measured_from_the_networks_and_those_between_from_features(
    imported: Recording, glyphs: Glyphs
) -> None:
    train, test = glyphs
    for epoch in (0, 1, 2):
        network = make_backbone(BACKBONE, seed=epoch).eval()
        last = network.layers[-1]
        x, z = (extract(network, s.images, precision="fp32")[last] for s in glyphs)
        wanted = NearestCentroid().fit(x, train.fine).score(z, test.fine)
        [row] = imported.select(epoch=epoch, layer=last, level="fine", split="test",
                                measure="ncc").to_dict("records")  # fmt: skip
        assert row["value"] == pytest.approx(wanted, abs=0.03)  # of 200: half precision
        assert row["n"] == len(test)
        assert row["by"] == ("features" if epoch == 1 else "weights")


def test_what_cannot_be_measured_again_is_marked_as_the_sources_own(imported: Recording) -> None:
    table = imported.measures
    theirs = table[table["by"] == "source"]
    assert set(theirs["epoch"]) == {1}
    assert set(theirs[theirs["measure"] == "ncc"]["value"]) == {0.11, 0.06}
    assert set(theirs["level"]) == {"fine", "coarse", "random-image", "sample"}
    between = table[(table["epoch"] == 1) & (table["by"] == "features")]
    assert not set(between["split"]) & {"train"}
    keys = ["epoch", "layer", "level", "split", "measure"]
    assert not table.duplicated(keys).any()
    ends = table[table["epoch"] != 1]
    assert set(ends["by"]) == {"weights", "features"}
    assert {"cdnv", "nc1", "linear", "knn", "effective_rank"} <= set(ends["measure"])


def test_run_json_says_who_made_what(imported: Recording, folder: Path) -> None:
    run = imported.run
    assert run["device"] == "a card"
    assert run["train_seconds"] == 60.0
    assert run["seed"] is None
    assert run["git"] == {"commit": None, "clean": False}
    assert run["measured"]["git"]["commit"]
    for name, digest in run["source"]["sha256"].items():
        assert digest == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert len(run["source"]["sha256"]) == 3 + len(EPOCHS)
    for name, digest in run["sha256"].items():
        assert digest == hashlib.sha256((imported.path / name).read_bytes()).hexdigest()
    losses = imported.losses
    assert losses["epoch"].tolist() == [1, 2]
    assert losses["seconds"].tolist() == [2.0, 3.5]


def test_the_network_comes_back_as_it_was(imported: Recording) -> None:
    network = imported.backbone()
    wanted = make_backbone(BACKBONE, seed=2).exported_state()
    for name, tensor in network.exported_state().items():
        assert torch.allclose(tensor, wanted[name], rtol=1e-3, atol=1e-4), name


def test_groupings_count_the_sources_images_at_every_place(
    imported: Recording, glyphs: Glyphs
) -> None:
    found = read_groupings(imported)
    assert tuple(dict.fromkeys(found.kinds.tolist())) == GROUPING_KINDS
    assert len(found.hits) == len(EPOCHS) * len(imported.layers)
    sizes = glyphs[1].hierarchy.levels[1].sizes
    for own in found.groups:
        assert np.array_equal(np.bincount(own), sizes)
    [own] = found.of("semantic")
    for (epoch, layer), hits in found.hits.items():
        assert found.images[epoch, layer].tolist() == [2] * 100
        [row] = imported.select(epoch=epoch, layer=layer, level="coarse", split="test",
                                measure="ncc").to_dict("records")  # fmt: skip
        assert hits[own].sum() / len(glyphs[1]) == pytest.approx(row["value"], abs=0.02)


def test_twice_is_the_same_to_the_byte(
    imported: Recording, folder: Path, glyphs: Glyphs, tmp_path: Path
) -> None:
    again = import_run(folder, tmp_path / "theirs", *glyphs, CONFIG, title="theirs", progress=False)
    names = sorted(file.name for file in again.iterdir())
    assert names == sorted(file.name for file in imported.path.iterdir())
    for name in names:
        assert (again / name).read_bytes() == (imported.path / name).read_bytes(), name


def _in_results(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        results = json.loads((folder / "results.json").read_text())
        change(results)
        (folder / "results.json").write_text(json.dumps(results))

    return harm


def _in_features(change: Callable[[Arrays], Arrays], epoch: int = 1) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        file = folder / f"features_{epoch:04d}.npz"
        arrays = dict(np.load(file))
        np.savez(file, **(arrays | change(arrays)))

    return harm


def _cut(folder: Path) -> None:
    file = folder / "weights_fp16.npz"
    file.write_bytes(file.read_bytes()[:1000])


def _of_another_network(folder: Path) -> None:
    state = make_backbone("res-1-8", seed=0).exported_state()
    np.savez(folder / "weights_fp16.npz", **{k: v.numpy() for k, v in state.items()})


def _not_finite(arrays: Arrays) -> Arrays:
    arrays["test"][0, 0, 0] = np.nan
    return arrays


def _an_image_twice(arrays: Arrays) -> Arrays:
    return {n: np.concatenate([arrays[n][:1], arrays[n][:-1]]) for n in ("labels", "path")}


HARMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent features": (lambda folder: (folder / "features_0001.npz").unlink(), "features_0001"),
    "other labels": (_in_features(lambda a: {"labels": a["labels"][::-1]}), "label"),
    "fewer labels": (_in_features(lambda a: {"labels": a["labels"][:5]}), "as many labels"),
    "an image twice": (_in_features(_an_image_twice), "an image twice"),
    "not finite": (_in_features(_not_finite, 2), "not finite"),
    "cut weights": (_cut, "weights_fp16.npz"),
    "another network": (_of_another_network, "res-1-6"),
    "no JSON": (
        lambda folder: (folder / "results.json").write_text('{"epochs": ['), "results.json"),
    "another recipe": (_in_results(lambda r: r["config"].update(loss="simclr")), "simclr"),
    "half a run": (_in_results(lambda r: r["loss_history"].pop()), "epochs"),
    "no rows of an epoch": (
        _in_results(lambda r: r["epochs"]["1"].pop("linear_train_test")), "linear_train_test"),
    "other columns": (
        _in_results(lambda r: r.update(loss_history_columns=["sum", "a", "b", "c", "seconds"])),
        "loss_history"),
    "half an epoch": (_in_results(lambda r: r["config"].update(epochs=2.5)), "epochs: 2.5"),
    "half an image": (_in_results(lambda r: r["config"].update(bs=50.5)), "batch: 50.5"),
    "no number of seconds": (_in_results(lambda r: r.update(train_seconds=np.nan)), "seconds"),
    "no device": (_in_results(lambda r: r.update(device=None)), "device: expected text"),
    "a loss that is none": (
        _in_results(lambda r: r["loss_history"][1].__setitem__(0, np.inf)), "not finite"),
    **{f"an accuracy of {value}": (
        _in_results(lambda r, v=value: r["epochs"]["1"]["linear_train_test"].update(fine=[v, 1])),
        f"an accuracy of {value!r}") for value in (750.0, -1, np.nan, True)},
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_a_folder_that_is_not_whole_is_refused_in_one_line_and_nothing_is_written(
    harm: str, folder: Path, glyphs: Glyphs, tmp_path: Path
) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    spoil, named = HARMS[harm]
    spoil(broken)
    with pytest.raises(RecordingError, match="expected a folder with") as error:
        import_run(broken, tmp_path / "out" / "theirs", *glyphs, CONFIG, progress=False)
    assert named in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_no_folder_at_all(glyphs: Glyphs, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"results\.json"):
        read_other_run(tmp_path / "nowhere", glyphs[1])


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    folder: Path, glyphs: Glyphs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(importing, "read_other_run", lambda *_: pytest.fail("it was read"))
    with pytest.raises(RecordingError, match="no recording can be written there"):
        import_run(folder, tmp_path / "file" / "theirs", *glyphs, CONFIG, progress=False)


def test_a_recording_that_stands_there_is_not_lost(
    imported: Recording, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", str(imported.path.parent), "--name", "theirs", "--data", "glyphs100"]
    assert main(["import-run", str(folder), *out]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_recording_that_came_meanwhile_is_not_lost(
    imported: Recording, folder: Path, glyphs: Glyphs, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    real, there = importing.read_other_run, tmp_path / "theirs"

    def read_while_another_writes(*given: Any) -> importing.OtherRun:
        found = real(*given)
        shutil.copytree(imported.path, there)
        (there / "run.json").write_text(
            (there / "run.json").read_text().replace('"title": "', '"title": "another: ')
        )
        return found

    monkeypatch.setattr(importing, "read_other_run", read_while_another_writes)
    with pytest.raises(OccupiedError, match=r"theirs holds a recording already.*--overwrite"):
        import_run(folder, there, *glyphs, CONFIG, progress=False)
    assert open_recording(there).title.startswith("another: ")
    monkeypatch.undo()
    import_run(folder, there, *glyphs, CONFIG, overwrite=True, progress=False)
    assert not open_recording(there).title.startswith("another: ")


def test_weights_of_another_network_say_what_they_lack(folder: Path) -> None:
    with pytest.raises(RecordingError, match="res-2-6"):
        load_network(folder / "weights_fp16.npz", "res-2-6")
