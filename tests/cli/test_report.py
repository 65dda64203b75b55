"""`ssl-companion report`: one page, one file of JSON, and a report that was stopped goes on."""

from __future__ import annotations

import json
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

from ssl_companion.encoders import examine
from ssl_companion.encoders.inputs.labelled import halves
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
        "--which", "ncc", "--out", "glyphs.html",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    numbers = json.loads(Path("glyphs.json").read_text("utf8"))
    assert {row["level"] for row in numbers["measures"]} >= {"looks-coarse", "random-coarse"}
    page = Text(Path("glyphs.html").read_text("utf8"))
    assert "groups of classes that look alike" in page.text
    assert numbers["baselines"] == {"pixels": "pixels", "untrained res-2-8": "untrained"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tight.npy"], r"labels: none for the features of tight\.npy; expected .*\(--labels\)"),
        (["tight.npy", "pixels", "--labels", "labels.csv"], r"pixels: an encoder beside features"),
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
