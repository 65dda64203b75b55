"""`ssl-companion report`: one page, one file of JSON, and a report that was stopped goes on."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.neighbors import NearestCentroid

from ssl_companion.chapters.commands.report import Report
from ssl_companion.chapters.commands.report_data import report_data
from ssl_companion.data import load
from ssl_companion.encoders import examine
from ssl_companion.encoders.inputs.labelled import halves
from ssl_companion.encoders.inputs.sources import image_folder
from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.recordings import MeasureConfig, open_recording

Call = Any
SMALL = ("--which", "ncc", "cdnv", "effective_rank")


class Text(HTMLParser):
    """The words of a page, scripts and styles left out, and every address that it names."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.loaded: list[str] = []
        self._skip = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skip = tag if tag in ("script", "style") else self._skip
        named = dict(attrs)
        self.loaded += [
            value for key in ("src", "href") if (value := named.get(key)) and tag != "a"
        ]

    def handle_endtag(self, tag: str) -> None:
        self._skip = "" if tag == self._skip else self._skip

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def features(spread: float, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng, y = np.random.default_rng(seed), np.repeat(np.arange(4), 30)
    means = 3 * np.random.default_rng(1).normal(size=(4, 5))
    return means[y] + spread * rng.normal(size=(len(y), 5)), np.array(
        ["ash", "birch", "cod", "dab"]
    )[y].tolist()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with features of two encoders, labels in two columns, and a folder of pictures."""
    monkeypatch.chdir(tmp_path)
    for name, spread in (("tight", 0.3), ("wide", 3.0)):
        x, names = features(spread)
        np.save(f"{name}.npy", x.astype(np.float32))
    kinds = ["tree" if name in ("ash", "birch") else "fish" for name in names]
    labels = pd.DataFrame({"species": names, "kind": kinds})
    labels.to_csv("labels.csv", index=False)
    files = [f"{i}.png" for i in range(len(names))]
    labels.assign(file=files)[["file", "species"]].to_csv("named.csv", index=False)
    np.save("short.npy", x[:7])
    rng = np.random.default_rng(0)
    for place, colour in {
        "tree/ash": 200,
        "tree/birch": 150,
        "fish/cod": 90,
        "fish/dab": 20,
    }.items():
        Path("pictures", place).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 60, (40, 30, 3)) + np.array([colour, 10, 255 - colour])
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                f"pictures/{place}/{i:02}.png"
            )
    return tmp_path


def test_features_of_two_encoders_side_by_side(here: Path, call: Call) -> None:
    answer = call("report", "tight.npy", "wide.npy", "--labels", "labels.csv", "--seed", "3")
    assert answer.status == 0, answer.err
    *table, page, json_file = answer.out.splitlines()
    assert [page, json_file] == ["report.html", "report.json"]
    assert [line.split()[0] for line in table[1:]] == ["tight", "wide"]
    numbers = json.loads(Path("report.json").read_text("utf8"))
    x, names = features(0.3)
    y = np.unique(names, return_inverse=True)[1]
    fit, held = halves(y, 3)
    expected = NearestCentroid().fit(x[fit], y[fit]).score(x[held], y[held])
    [row] = [
        row
        for row in numbers["measures"]
        if (row["encoder"], row["level"], row["measure"]) == ("tight", "fine", "ncc")
    ]
    assert row["value"] == pytest.approx(expected)
    assert {row["level"] for row in numbers["measures"]} >= {"fine", "kind", "random-kind", "all"}
    page = Text(Path("report.html").read_text("utf8"))
    assert f"{expected:.1%}" in page.text
    for one in numbers["quotable"]:
        assert one in page.text
    for one in numbers["unsupported"]:
        assert one["sentence"] in page.text
        assert one["why"].replace("`", "") in page.text
    assert all(address.startswith("data:") for address in page.loaded)
    assert "ssl-companion report" not in page.text  # the command is that of this process
    assert not Path("report.parts").exists()


def test_what_others_put_beside_it_is_kept(here: Path, call: Call) -> None:
    Path("report.parts").mkdir()
    Path("report.parts/mine.txt").write_text("mine", "utf8")
    assert call("report", "tight.npy", "--labels", "labels.csv", *SMALL).status == 0
    assert [file.name for file in Path("report.parts").iterdir()] == ["mine.txt"]


def test_a_file_with_an_equals_sign_is_a_file(here: Path, call: Call) -> None:
    Path("lr=0.1").mkdir()
    Path("tight.npy").rename("lr=0.1/epoch=9.npy")
    assert call("report", "lr=0.1/epoch=9.npy", "--labels", "labels.csv", *SMALL).status == 0
    assert list(json.loads(Path("report.json").read_text("utf8"))["encoders"]) == ["epoch=9"]


def test_baselines_look_at_training_images_alone(here: Path, call: Call) -> None:
    answer = call("report", "whitened-pixels", "--data", "pictures", *SMALL)
    assert answer.status == 0, answer.err
    [about] = json.loads(Path("report.json").read_text("utf8"))["encoders"].values()
    assert about["fitted_on"] == f"{about['train_images']} training images"


def test_a_folder_of_pictures_with_baselines(here: Path, call: Call) -> None:
    answer = call(
        "report", "COLOUR=colour.py:encoder", "--data", "pictures", "--size", "24",
        "--baseline", "pixels", *SMALL,
    )  # fmt: skip
    assert answer.status == 2
    assert "colour.py" in answer.err
    Path("colour.py").write_text("def encoder():\n    return lambda x: x.mean(dim=(2, 3))\n")
    answer = call(
        "report", "COLOUR=colour.py:encoder", "--data", "pictures", "--size", "24",
        "--baseline", "pixels", "--out", "out/mine.html", *SMALL,
    )  # fmt: skip
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("out/mine.json").read_text("utf8"))
    assert list(numbers["encoders"]) == ["COLOUR", "pixels"]
    assert numbers["baselines"] == {"pixels": "pixels"}
    ncc = {
        row["encoder"]: row["value"]
        for row in numbers["measures"]
        if (row["measure"], row["level"]) == ("ncc", "fine")
    }
    assert ncc["COLOUR"] == 1.0
    page = Path("out/mine.html").read_text("utf8")
    assert "data:image/webp" in page  # the pictures themselves, on the map
    assert "cod/" in page


def test_a_stopped_report_goes_on(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    whole = examine.examine

    def stopping(*args: Any, **given: Any) -> Any:
        if measured and not go_on:
            raise KeyboardInterrupt
        measured.append(given["about"]["encoder"])
        return whole(*args, **given)

    monkeypatch.setattr(examine, "examine", stopping)
    command = ("report", "tight.npy", "wide.npy", "--labels", "labels.csv", *SMALL)
    go_on = False
    answer = call(*command)
    assert answer.status == 130
    assert "report.parts: the same command goes on" in answer.err
    assert not Path("report.html").exists()
    go_on = True
    assert call(*command).status == 0
    assert measured == ["tight.npy", "wide.npy"]  # each of them once
    first = json.loads(Path("report.json").read_text("utf8"))
    assert call(*command, "--out", "anew.html").status == 0
    anew = json.loads(Path("anew.json").read_text("utf8"))
    assert anew["measures"] == first["measures"]


@pytest.mark.parametrize("change", ["features", "labels", "column", "settings", "damage"])
def test_what_has_changed_is_measured_again(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    command = ["report", "tight.npy", "--labels", "labels.csv", *SMALL]
    count = []
    whole = examine.examine
    monkeypatch.setattr(
        examine,
        "examine",
        lambda *a, **k: count.append(1) or whole(*a, **k),  # type: ignore[func-returns-value]
    )
    monkeypatch.setattr("ssl_companion.chapters.widgets.report.report_page", lambda *a, **k: 1 / 0)
    assert call(*command).status == 2  # measured, and no page
    [part] = Path("report.parts").glob("*/*.safetensors")
    if change == "features":
        np.save("tight.npy", features(0.5)[0])
    elif change == "labels":
        table = pd.read_csv("labels.csv")
        table.iloc[::-1].to_csv("labels.csv", index=False)
    elif change == "column":
        command[3] = "labels.csv:kind"
    elif change == "settings":
        command += ["--seed", "1"]
    else:
        part.write_bytes(part.read_bytes()[:100])
    call(*command)
    assert len(count) == 2
    call(*command)
    assert len(count) == 2


def test_a_recording_that_grows_is_compared_epoch_by_epoch(here: Path, call: Call) -> None:
    (x, names), (x_test, _) = features(1.0), features(1.0, seed=5)
    kept = MeasureConfig(keep="last", keep_train=30, keep_test=30, probes=False)
    recorder = EncoderRecorder(
        x, names, test_images=x_test, test_labels=names, destination="growing", config=kept
    )
    for epoch in range(8):
        recorder(epoch, lambda x, part=epoch: x * (torch.arange(5) < 1 + part % 5))
        assert not open_recording("growing").complete
    answer = call("report", "growing", *SMALL)
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("report.json").read_text("utf8"))
    assert [int(name.split()[1]) for name in numbers["encoders"]] == [0, 2, 4, 5, 7]
    assert numbers["baselines"] == {}  # epoch 0 may be anything
    rows = {(row["encoder"], row["level"], row["measure"]): row for row in numbers["measures"]}
    told = open_recording("growing").select(epoch=4, measure="ncc", level="fine", split="test")
    # Features are kept in 8 bits.
    assert rows["epoch 4 of growing", "fine", "ncc"]["value"] == pytest.approx(
        told["value"].item(), abs=0.02
    )
    assert call("report", "growing@3", "--out", "one.html", *SMALL).status == 0
    answer = call("report", "growing@9", "--out", "nine.html", *SMALL)
    assert answer.status == 2
    assert "growing@9: expected an epoch whose features are kept" in answer.err
    assert "0, 1, 2, 3, 4, 5, 6, 7" in answer.err


def test_layers_are_compared_and_maps_can_be_left_out(here: Path, call: Call) -> None:
    Path("two.py").write_text(
        "def encoder():\n"
        "    return lambda x: {'mean': x.mean(dim=(2, 3)), 'pixels': x.flatten(1)}\n"
    )
    answer = call("report", "NET=two.py:encoder", "--data", "pictures", "--size", "16",
                  "--no-maps", *SMALL)  # fmt: skip
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("report.json").read_text("utf8"))
    assert list(numbers["encoders"]) == ["mean of NET", "pixels of NET"]
    assert "data-map" not in Path("report.html").read_text("utf8")


def test_groups_by_looks_stand_beside_a_data_set_with_levels(here: Path, call: Call) -> None:
    answer = call(
        "report", "pixels", "random:res-2-8", "--data", "glyphs100", "--per-class", "2",
        *QUICK, "--out", "glyphs.html",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("glyphs.json").read_text("utf8"))
    assert {row["level"] for row in numbers["measures"]} >= {"looks-coarse", "random-coarse"}
    page = Text(Path("glyphs.html").read_text("utf8"))
    assert "groups of classes that look alike" in page.text
    assert numbers["baselines"] == {"pixels": "pixels", "untrained res-2-8": "untrained"}


QUICK = ("--which", "ncc", "--no-maps")


def values(numbers: Any, level: str = "fine") -> dict[str, float]:
    """NCC accuracy of each encoder."""
    return {
        row["encoder"]: row["value"]
        for row in numbers["measures"]
        if (row["measure"], row["level"]) == ("ncc", level)
    }


@pytest.fixture
def images(here: Path) -> np.ndarray:
    """Of the features: uint8 [120, 3, 8, 8], as a file."""
    y = np.unique(features(1.0)[1], return_inverse=True)[1]
    x = np.random.default_rng(0).integers(0, 100, (len(y), 3, 8, 8)) + 40 * y[:, None, None, None]
    np.save("images.npy", x.astype(np.uint8))
    np.save("one.npy", np.float32(1))
    return x.astype(np.uint8)


def test_features_beside_pixels_of_their_images(
    here: Path, call: Call, images: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    split: list[np.ndarray] = []
    whole = examine.examine

    def noting(*args: Any, **given: Any) -> Any:
        found = whole(*args, **given)
        split.extend(one.rows_given for one in found.values())
        return found

    monkeypatch.setattr(examine, "examine", noting)
    answer = call(
        "report", "tight.npy", "--baseline", "pixels", "--data", "images.npy",
        "--labels", "labels.csv", "--seed", "3", *QUICK,
    )  # fmt: skip
    assert answer.status == 0, answer.err
    own, pixels = split
    assert np.array_equal(own, pixels)
    x, names = features(0.3)
    y = np.unique(names, return_inverse=True)[1]
    fit, held = halves(y, 3)
    assert np.array_equal(own, held)
    numbers = json.loads(Path("report.json").read_text("utf8"))
    flat = images.reshape(len(y), -1) / 255
    for name, each in (("tight", x), ("pixels", flat)):
        expected = NearestCentroid().fit(each[fit], y[fit]).score(each[held], y[held])
        assert values(numbers)[name] == pytest.approx(expected)
    apart = {row["level"]: row for row in numbers["differences"]}
    assert set(apart) == {"fine", "kind"}
    expected = values(numbers)["tight"] - values(numbers)["pixels"]
    assert apart["fine"]["value"] == pytest.approx(expected)
    assert apart["fine"]["n"] == len(held)
    assert numbers["baselines"] == {"pixels": "pixels"}


def test_features_of_a_folder_have_its_labels_and_pictures(here: Path, call: Call) -> None:
    stream = image_folder("pictures", size=24)
    np.save("mean.npy", torch.cat(list(stream)).float().mean(dim=(2, 3)) / 255)
    command = ("report", "mean.npy", "--data", "pictures", "--size", "24")
    answer = call(*command, "--baseline", "pixels", *QUICK)
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("report.json").read_text("utf8"))
    assert values(numbers)["mean"] == 1.0
    assert values(numbers, "level1").keys() == {"mean", "pixels"}  # tree and fish
    assert call(*command, "--which", "ncc", "--out", "alone.html").status == 0
    page = Path("alone.html").read_text("utf8")
    assert "data:image/webp" in page
    assert "cod/" in page
    # Held out by themselves: the same pictures, here
    answer = call(
        *command, "--baseline", "pixels", "--test-data", "pictures", "--test-features", "mean.npy",
        "--out", "held.html", *QUICK,
    )  # fmt: skip
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("held.json").read_text("utf8"))
    assert {row["n"] for row in numbers["differences"]} == {48}


def test_features_of_a_data_set_are_taken_class_by_class(here: Path, call: Call) -> None:
    for split in ("train", "test"):
        whole = load("glyphs100", split)
        x = np.asarray(whole.images, dtype=np.float32).reshape(len(whole), -1) / 255
        np.save(f"{split}.npy", x[:, ::4])
        np.save(f"{split}-names.npy", np.char.add("g", whole.fine.astype(str)))
    command = (
        "report", "train.npy", "--test-features", "test.npy", "--data", "glyphs100",
        "--baseline", "pixels", "--per-class", "2", *QUICK,
    )  # fmt: skip
    answer = call(*command)
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("report.json").read_text("utf8"))
    train, test = (load("glyphs100", split).subset(2) for split in ("train", "test"))
    a, b = (x.images.reshape(len(x), -1)[:, ::4].astype(float) for x in (train, test))
    expected = NearestCentroid().fit(a, train.fine).score(b, test.fine)
    assert values(numbers)["train"] == pytest.approx(expected, abs=0.006)  # a tie may fall apart
    assert {row["level"] for row in numbers["differences"]} == set(train.hierarchy.names)
    looks = {row["encoder"] for row in numbers["measures"] if row["level"] == "looks-coarse"}
    assert looks == {"train", "pixels"}
    assert {row["n"] for row in numbers["differences"]} == {200}
    # Names and levels of one's own, for features and images alike
    Path("groups.json").write_text(json.dumps({f"g{i}": f"of {i % 2}" for i in range(100)}))
    answer = call(
        *command, "--labels", "train-names.npy", "--test-labels", "test-names.npy",
        "--hierarchy", "groups.json", "--out", "own.html",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    own = json.loads(Path("own.json").read_text("utf8"))
    assert values(own).keys() == values(own, "level1").keys() == {"train", "pixels"}
    assert values(own)["pixels"] == pytest.approx(values(numbers)["pixels"], abs=0.006)


def test_labels_of_a_data_set_in_another_order_are_refused(here: Path, call: Call) -> None:
    for split in ("train", "test"):
        own = load("glyphs100", split).fine
        np.save(f"{split}-labels.npy", own if split == "train" else own[::-1])
    answer = call(
        "report", "pixels", "--data", "glyphs100", *QUICK,
        "--labels", "train-labels.npy", "--test-labels", "test-labels.npy",
    )  # fmt: skip
    assert answer.status == 2
    assert (
        "test_labels: test-labels.npy has the labels of Glyphs-100 (stand-in) in another"
        in answer.err
    )


@pytest.mark.parametrize("file", ["images.npy", "held.npy", "held-features.npy"])
def test_what_is_kept_depends_on_all_files(here: Path, images: np.ndarray, file: str) -> None:
    for name, x in (("held.npy", images), ("held-features.npy", features(0.3)[0])):
        np.save(name, x)
    asked = Report(
        ("tight.npy", "pixels"), data="images.npy", labels=Path("labels.csv"),
        test_data="held.npy", test_labels=Path("labels.csv"),
        test_features=(Path("held-features.npy"),),
    )  # fmt: skip

    def digests() -> set[str]:
        data, wanted = report_data(asked, asked._titles())
        return {asked._digest(spec, data) for spec in wanted.values()}

    before = digests()
    assert digests() == before
    np.save(file, np.load(file)[::-1])
    os.utime(file, (0, 0))
    assert not digests() & before


def test_features_of_a_recording_stand_by_themselves(here: Path, call: Call) -> None:
    x, names = features(1.0)
    kept = MeasureConfig(keep="last", keep_train=30, keep_test=30, probes=False)
    recorder = EncoderRecorder(
        x, names, test_images=x, test_labels=names, destination="growing", config=kept
    )
    recorder(0, lambda x: x)
    for other in ("pixels", "tight.npy"):
        answer = call("report", "growing", other, "--labels", "labels.csv", *QUICK)
        assert answer.status == 2
        assert f"growing: features that a recording keeps, beside {other}; expected" in answer.err
        assert "extract features of your images to a file" in answer.err


BESIDE = ["tight.npy", "pixels", "--labels", "labels.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["short.npy", "pixels", "--labels", "labels.csv", "--data", "images.npy"],
            r"short\.npy: 7 rows of features; expected 120, one for each image of images\.npy",
        ),
        (["one.npy", "--labels", "labels.csv"], r"one\.npy: 0 rows of features; expected 120"),
        (
            ["tight.npy", "pixels", "--data", "pictures"],
            r"tight\.npy: 120 rows of features; expected 48, one for each image of pictures",
        ),
        (
            [*BESIDE, "--data", "pictures"],
            r"labels\.csv: 120 rows of labels; expected 48, one for each image of pictures",
        ),
        (BESIDE, r"data: none, and tight\.npy is beside pixels; expected the images .*\(--data\)"),
        (["tight.npy", "pixels", "--data", "images.npy"], r"labels: none for the images of"),
        (["tight.npy", "--data", "nowhere"], r"nowhere"),
        (
            ["tight.npy", "pixels", "--data", "glyphs100"],
            r"test_features: 0 files for 1 of features; .* load\('glyphs100', 'test'\)",
        ),
        (
            ["tight.npy", "--data", "glyphs100", "--test-features", "wide.npy"],
            r"tight\.npy: 120 rows of features; expected 10000, .* load\('glyphs100', 'train'\)",
        ),
        (
            [*BESIDE, "--data", "glyphs100"],
            r"labels: labels\.csv alone; expected both --labels and --test-labels, or neither",
        ),
        (
            [*BESIDE, "--data", "images.npy", "--test-features", "wide.npy"],
            r"test_data: none for the features of wide\.npy; expected their images",
        ),
        (
            ["tight.npy", "--labels", "labels.csv", "--test-features", "wide.npy"],
            r"test_labels: none for the features of wide\.npy; expected their labels",
        ),
        (
            [*BESIDE, "--data", "images.npy", "--test-data", "images.npy"],
            r"test_features: 0 files for 1 of features; .*, with a row for each image of images",
        ),
        (
            ["tight.npy", "--labels", "labels.csv", "--per-class", "3"],
            r"per_class: 3 of tight\.npy",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_measured(
    here: Path, call: Call, images: np.ndarray, arguments: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(examine, "examine", lambda *a, **k: 1 / 0)
    answer = call("report", *arguments, *QUICK)
    assert answer.status == 2
    assert re.search(message, answer.err), answer.err
    assert "SSL_COMPANION_DEBUG" not in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tight.npy"], r"labels: none for the features of tight\.npy; expected .*\(--labels\)"),
        (["none.npy", "--labels", "labels.csv"], r"none\.npy: "),
        (["tight.npy", "--labels", "none.csv"], r"none\.csv: "),
        (["nonsense"], r"'nonsense'.*expected a network"),
        (["A=tight.npy", "A=wide.npy", "--labels", "labels.csv"], r"A: the name of both"),
        (["tight.npy", "--labels", "labels.csv", "--which", "nothing"], r"which: 'nothing'"),
        (
            ["tight.npy", "--labels", "labels.csv", "--test-features", "a.npy", "b.npy"],
            r"test_features: 2 files for 1",
        ),
        (["pixels", "--data", "nowhere"], r"nowhere"),
        (["pixels", "--out", "page.json"], r"out: page\.json; expected a page, such as page\.html"),
        (["pixels", "--data", "pictures", "--per-class", "3"], r"per_class: 3 of pictures"),
        (["pixels", "--data", "tight.npy"], r"labels: none for the images of tight\.npy"),
        (["pixels", "--out", "pictures"], r"pictures: is a folder; expected a file"),
        (["short.npy", "--labels", "labels.csv"], r"short\.npy: 7 rows of features; expected 120"),
        (
            ["tight.npy", "--labels", "named.csv"],
            r"column 'file' has another value in each of 120 rows.*FILE\.csv:species",
        ),
        (["tight.npy", "--labels", "labels.csv", "--hierarchy", "none.json"], r"none\.json"),
    ],
)
def test_bad_requests_are_one_line(
    here: Path, call: Call, arguments: list[str], message: str
) -> None:
    answer = call("report", *arguments)
    assert answer.status == 2
    lines = [line for line in answer.err.splitlines() if line.startswith("ssl-companion: ")]
    assert len(lines) == 1, answer.err
    assert re.search(message, lines[0]), lines[0]
    assert "SSL_COMPANION_DEBUG" not in lines[0], "an error that was not written for a user"
    assert not Path("report.html").exists()


def test_a_page_that_stands_there_is_kept(here: Path, call: Call) -> None:
    Path("report.html").write_text("mine", "utf8")
    command = ("report", "tight.npy", "--labels", "labels.csv", *SMALL)
    answer = call(*command)
    assert answer.status == 2
    assert "report.html: exists already" in answer.err
    assert Path("report.html").read_text("utf8") == "mine"
    assert call(*command, "--overwrite").status == 0
    assert Path("report.html").read_text("utf8") != "mine"
