"""Your own encoder, measured: the numbers, what may be given, and what is refused."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, permutation_test_score
from sklearn.neighbors import NearestCentroid
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import ssl_companion.data
from ssl_companion import cli, measures
from ssl_companion.data import Hierarchy, Level, load, random_grouping
from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.evaluate import FURTHER_MEASURES, MEASURES, measure_encoder
from ssl_companion.encoders.inputs.labelled import halves
from ssl_companion.encoders.record import record_encoder
from ssl_companion.encoders.subsets import balanced_subset, random_subset
from ssl_companion.recordings import MeasureConfig, open_recording

NC2 = ("nc2_equinorm", "nc2_equiangular")
BOOK = Path(__file__).resolve().parents[2] / "book"
PAGES = BOOK / "measure-your-encoder.md", BOOK / "train-your-own.md"

K, D = 4, 6
MEAN, STD = (
    torch.tensor(colours).view(3, 1, 1)
    for colours in ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762])
)


def clusters(n: int = 40, seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    means = 2 * np.random.default_rng(9).normal(size=(K, D))
    y = np.repeat(np.arange(K), n)
    return means[y] + spread * rng.normal(size=(len(y), D)), y


def value(table: object, measure: str, level: str = "labels", layer: str = "features") -> float:
    rows = table.query("measure == @measure and level == @level and layer == @layer")  # type: ignore[attr-defined]
    return float(rows["value"].item())


def test_features_give_what_scikit_learn_and_the_measures_say() -> None:
    (x, y), (x_test, z) = clusters(seed=0), clusters(seed=1)
    table = measure_encoder(None, x, y, test_images=x_test, test_labels=z)
    rule = NearestCentroid().fit(x, y)
    assert value(table, "ncc") == pytest.approx(rule.score(x_test, z))
    probe = LogisticRegression(C=1e4, max_iter=2000).fit((x - x.mean(0)) / x.std(0), y)
    linear = probe.score((x_test - x.mean(0)) / x.std(0), z)
    assert value(table, "linear") == pytest.approx(linear, abs=0.02)
    assert value(table, "cdnv") == pytest.approx(measures.cdnv(x, y))
    assert value(table, "nc1") == pytest.approx(measures.neural_collapse(x, y).nc1)
    rank = measures.effective_rank(x_test)
    assert value(table, "effective_rank", "all") == pytest.approx(rank)
    knn = measures.WeightedKNN(k=16).fit(x, y).score(x_test, z)
    assert value(table, "knn") == pytest.approx(knn)


def test_intervals_hold_their_values_and_the_control_is_near_chance() -> None:
    table = measure_encoder(None, *clusters(200))
    bounded = table.dropna(subset=["low", "high"])
    assert set(bounded["measure"]) == {"ncc", "linear", "knn"}
    assert (bounded["low"] <= bounded["value"]).all()
    assert (bounded["value"] <= bounded["high"]).all()
    assert value(table, "ncc") > 0.8
    assert abs(value(table, "ncc", "permuted") - 1 / K) < 0.15
    assert set(table.query("level == 'permuted'")["measure"]) == {"ncc"}


def two_blobs(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two classes so well apart that a rule fitted on any labels follows the two clouds."""
    y = np.repeat([0, 1], n)
    return np.random.default_rng(seed).normal(size=(2 * n, 8)) + 20 * np.eye(8)[y], y


@pytest.mark.parametrize("seed", range(8))
def test_permuted_labels_cover_chance_with_two_classes_and_are_told_from_their_own(
    seed: int,
) -> None:
    table = measure_encoder(None, *two_blobs(seed), which="ncc", seed=seed).set_index("level")
    own, control = table.loc["labels"], table.loc["permuted"]
    assert control["low"] <= 0.5 <= control["high"]
    assert abs(control["value"] - 0.5) < 0.05
    assert own["low"] > control["high"]


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e-40, 0.0), (1e30, 1e33), (1.0, 1e4)])
def test_permuted_labels_are_scattered_as_scikit_learn_has_them(
    scale: float, offset: float
) -> None:
    (x, y), (x_test, z) = clusters(seed=0), clusters(seed=1)
    fold = PredefinedSplit(np.repeat([-1, 0], [len(y), len(z)]))
    both = np.concatenate([x, x_test]), np.concatenate([y, z])
    drawn = permutation_test_score(
        NearestCentroid(), *both, cv=fold, n_permutations=400, random_state=0
    )[1]
    found = measure_encoder(
        None, scale * x + offset, y, test_images=scale * x_test + offset, test_labels=z, which="ncc"
    ).set_index("level").loc["permuted"]  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found["value"] == pytest.approx(drawn.mean(), abs=0.02)
    assert found["low"] == pytest.approx(low, abs=0.04)
    assert found["high"] == pytest.approx(high, abs=0.04)


def test_random_groups_are_twenty_of_scikit_learns_and_their_interval_holds_them() -> None:
    rng, k = np.random.default_rng(3), 8
    means, y = rng.normal(size=(k, 5)), np.repeat(np.arange(k), 30)
    x, x_test = (1.5 * means[y] + rng.normal(size=(len(y), 5)) for _ in range(2))
    fine = Level("fine", tuple("abcdefgh"), np.arange(k))
    kind = Level("kind", ("one", "two", "three"), np.array([0, 0, 0, 1, 1, 1, 2, 2]))
    table = measure_encoder(
        None, x, y, test_images=x_test, test_labels=y, which="ncc",
        hierarchy=Hierarchy("own", (fine, kind)),
    ).set_index("level")  # fmt: skip
    groups = [random_grouping(kind, seed).labels(y) for seed in range(20)]
    scores = np.array([NearestCentroid().fit(x, g).score(x_test, g) for g in groups])
    found = table.loc["random-kind"]
    assert found["value"] == pytest.approx(scores.mean())
    assert ((found["low"] < scores) & (scores < found["high"])).mean() > 0.9
    alone = measures.bootstrap_mean(np.arange(len(y)) < scores[0] * len(y))
    assert found["high"] - found["low"] > alone.high - alone.low
    assert table.index.tolist() == ["fine", "kind", "random-kind", "permuted"]


def test_features_of_other_dimensions_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"test_images: dimensions \{'features': 4\}; .*: 6\}"):
        measure_encoder(None, X, Y, test_images=X[:, :4], test_labels=Y)
    small, large = torch.zeros(160, 3, 4, 4), torch.zeros(160, 3, 6, 6)
    with pytest.raises(ValueError, match=r"test_images: dimensions .*108.*; expected .*48"):
        measure_encoder(flat, small, Y, test_images=large, test_labels=Y)


def test_halves_are_disjoint_balanced_and_follow_the_seed() -> None:
    y = np.repeat([0, 1, 2], [5, 8, 2])
    first, second = halves(y)
    assert sorted([*first, *second]) == list(range(len(y)))
    assert np.bincount(y[first]).tolist() == [3, 4, 1]
    assert np.bincount(y[second]).tolist() == [2, 4, 1]
    np.testing.assert_array_equal(first, halves(y)[0])
    assert not np.array_equal(first, halves(y, seed=1)[0])
    with pytest.raises(ValueError, match="class 1 has a single image"):
        halves(np.array([0, 0, 1]))


def test_an_image_set_brings_labels_levels_and_their_controls() -> None:
    images = load("glyphs100", "test", n=400)
    table = measure_encoder(lambda x: x.mean((2, 3)), images, which=("ncc", "cdnv"))
    names = images.hierarchy.names
    controls = {f"{kind}-{name}" for kind in ("random", "looks") for name in names[1:]}
    assert set(table["level"]) == {*names, *controls, "permuted"}
    assert set(table["layer"]) == {"output"}
    fit, held = halves(images.fine)
    x = (torch.from_numpy(images.images.copy()) / 255 - MEAN) / STD
    x = x.mean(dim=(2, 3))
    rule = NearestCentroid().fit(x[fit], images.labels("coarse")[fit])
    score = rule.score(x[held], images.labels("coarse")[held])
    assert value(table, "ncc", "coarse", "output") == pytest.approx(score, abs=0.011)


def test_an_image_set_with_other_labels_has_no_levels_of_its_own() -> None:
    images = load("glyphs100", "test", n=200)
    table = measure_encoder(
        lambda x: x.mean((2, 3)), images, np.arange(200) % 7, which="ncc", test_images=None
    )
    assert set(table["level"]) == {"labels", "permuted"}


class Layers(nn.Module):
    """Maps, vectors and tokens; batch normalisation and dropout must be off."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> OrderedDict[str, object]:
        """What transformers return: states [n, tokens, D] in a dictionary, and more."""
        maps = self.norm(x)
        tokens = maps.flatten(2).transpose(1, 2)
        vectors = self.drop(maps.amax(dim=(2, 3)))
        return OrderedDict(last_hidden_state=tokens, maps=maps, vectors=vectors, loss=None)


@pytest.mark.parametrize("layers", [("maps", "vectors"), "last_hidden_state"])
def test_outputs_pick_what_is_measured_in_evaluation_mode_and_the_module_stays_as_it_was(
    layers: tuple[str, ...] | str,
) -> None:
    encoder = Layers().train()
    encoder.drop.eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    x, y = torch.rand(48, 3, 8, 8), np.arange(48) % K

    def pick(out: dict[str, torch.Tensor]) -> object:
        return out[layers][:, 0] if isinstance(layers, str) else {n: out[n] for n in layers}

    tables = [
        measure_encoder(encoder, x, y, outputs=pick, batch=batch, which=("ncc", "cdnv"))
        for batch in (7, 48)
    ]
    assert encoder.training and encoder.norm.training and not encoder.drop.training  # noqa: PT018
    torch.testing.assert_close(dict(encoder.state_dict()), before, rtol=0, atol=0)
    np.testing.assert_allclose(tables[0]["value"], tables[1]["value"], rtol=1e-4)
    # In evaluation mode and untrained, the norm divides by sqrt(1 + eps) and nothing else.
    by_hand = {"output": x[:, :, 0, 0], "maps": x.mean((2, 3)), "vectors": x.amax((2, 3))}
    names = ["output"] if isinstance(layers, str) else list(layers)
    assert set(tables[0]["layer"]) == set(names)
    fit = halves(y)[0]
    for name in names:
        expected = measures.cdnv(by_hand[name][fit], y[fit])
        assert value(tables[0], "cdnv", layer=name) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match=r"encoder: returned tokens \(48, 64, 3\) .*`outputs`"):
        measure_encoder(encoder, x, y, batch=48)


def test_bytes_are_normalised_and_other_images_and_preprocess_are_not() -> None:
    seen: list[torch.Tensor] = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        return x.flatten(1)

    x = torch.randint(0, 256, (8, 3, 4, 4), dtype=torch.uint8)
    y = np.arange(8) % 2
    for images, preprocess in ((x, None), (x.float(), None), (x, lambda b: b.float() + 1)):
        measure_encoder(spy, images, y, which=("ncc",), preprocess=preprocess)
    own = x.float()
    torch.testing.assert_close(seen, [(own / 255 - MEAN) / STD, own, own + 1])


def test_a_collapsed_encoder_has_no_widths_and_no_more_than_chance() -> None:
    x, y = torch.rand(80, 3, 8, 8), np.arange(80) % K
    table = measure_encoder(lambda b: torch.ones(len(b), 3), x, y)
    assert np.isnan(value(table, "cdnv", layer="output"))
    assert np.isnan(value(table, "nc1", layer="output"))
    assert value(table, "ncc", layer="output") == pytest.approx(1 / K)
    zeros = measure_encoder(lambda b: torch.zeros(len(b), 3), x, y)
    assert np.isnan(value(zeros, "knn", layer="output"))


X, Y = clusters()
MASKED = np.ma.array(X, mask=np.arange(X.size).reshape(X.shape) == 7)
WORDS = np.array(["red", "green", "blue", "grey"])[Y]
NHWC = np.zeros((len(Y), 4, 4, 3), np.uint8)
LOADER = DataLoader(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), batch_size=50)


ONE_AT_THE_TOP = Hierarchy(
    "one",
    (Level("fine", tuple("abcd"), np.arange(4)), Level("all", ("all",), np.zeros(4, int))),
)


def flat(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda: (None, X), "labels: None; expected integers"),
        (lambda: (None, X, Y[:-1]), "labels: 159 labels; expected 160, one for each row of images"),
        (
            lambda: (None, X, Y.astype(float)),
            "labels: dtype torch.float64; .* convert class indices to int64",
        ),
        (
            lambda: (None, X, Y - 1),
            r"labels\[\d+\]: -1; .* `np.unique\(labels, return_inverse=True\)",
        ),
        (lambda: (None, X, 2 * Y), r"0 without gaps; `np.unique\(labels, return_inverse=True\)"),
        (lambda: (None, X, [*WORDS[:-1], 3]), r"labels\[159\]: 3; expected labels of one kind"),
        (lambda: (None, X, ["red"] * 160), "labels: a single class; expected two classes or more"),
        (lambda: (None, X, WORDS.astype("S")), "labels: bytes, such as b'red'"),
        (lambda: (flat, NHWC, Y), r"images: shape .*, channels last; .*`transpose\(0, 3, 1, 2\)`"),
        (lambda: (flat, torch.from_numpy(NHWC), Y), r"channels last; .*`permute\(0, 3, 1, 2\)`"),
        (
            lambda: (flat, NHWC.transpose(0, 3, 1, 2)[:, :2], Y),
            r"uint8 of shape .*, or grey \[N, 1, H, W\]",
        ),
        (lambda: (flat, np.zeros((160, 3, 4, 4), int), Y), "images: int64; expected uint8"),
        (lambda: (flat, LOADER, Y[:-1]), "labels: 159 labels; expected 160, one for each row of"),
        (lambda: (flat, LOADER.dataset, 2 * Y), "0 without gaps"),
        (lambda: (None, X, 0 * Y), "two classes or more"),
        (lambda: (None, X[:0], Y[:0]), "^images: none at all"),
        (lambda: (None, np.where(X > 3, np.nan, X), Y), "expected finite numbers only"),
        (lambda: (None, np.zeros((160, 3, 4, 4)), Y), "without an encoder expected features"),
        (lambda: (None, [1, 2], Y), r"images: list; expected .* `np.asarray\(images\)` is one"),
        (
            lambda: (None, pd.DataFrame(X), Y),
            r"images: DataFrame; .* `np.asarray\(images\)` is one",
        ),
        (lambda: (None, Y, Y), r"images: shape \(160,\); expected an array or tensor"),
        (lambda: (lambda b: b.sum(), X, Y), "encoder: returned "),
        (lambda: (None, MASKED, Y), "images: a masked array, 1 of 960 entries masked"),
        (lambda: (flat, MASKED, Y), "images: a masked array, 1 of 960 entries masked"),
        (lambda: (None, X, np.ma.masked_equal(Y, 3)), "labels: a masked array, 40 of 160 entries"),
        (lambda: (None, X + 1j, Y), "images: dtype complex128; expected real numbers"),
        (lambda: (None, X.astype(object), Y), "images: dtype object"),
        (lambda: (flat, X.astype(np.uint8), Y), "images: uint8 of shape"),
        (lambda: (None, X, torch.tensor(Y).to("meta")), "labels: a tensor on the meta device"),
        (lambda: (None, X, [[0], [1, 2]]), "labels: not rectangular"),
        (
            lambda: (None, X, np.full(160, 2**64 - 1, np.uint64)),
            "labels: a label 18446744073709551615",
        ),
        (lambda: (lambda b: [b, None], X, Y), r"encoder: returned a list .*; `outputs=lambda"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_encoder(*arguments())  # type: ignore[operator]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"which": ("ncc", "magic")}, "which: 'magic'; expected some of ncc"),
        ({"batch": 0}, "batch: 0"),
        ({"which": None}, "which: None; expected some of ncc"),
        ({"which": ()}, "which: none; expected some of ncc"),
        ({"which": ("ncc", 3)}, "which: 3"),
        ({"seed": -1}, "seed: -1; expected an integer of 0 or more"),
        ({"seed": "a"}, "seed: 'a'"),
        ({"hierarchy": {"fine": Y}}, r"hierarchy\['fine'\]: ndarray; expected the name of a group"),
        ({"hierarchy": {"red": "warm"}}, "hierarchy: no place for class '0'"),
        ({"hierarchy": 5}, "hierarchy: 5; expected a Hierarchy, a dictionary"),
        ({"hierarchy": ONE_AT_THE_TOP}, "hierarchy: a single class at level 'all'"),
        ({"test_images": MASKED, "test_labels": Y}, "test_images: a masked array"),
        ({"test_labels": Y}, "test_labels: given without test_images"),
        ({"test_images": X}, "test_labels: None"),
        ({"test_images": X[:0], "test_labels": Y[:0]}, "^test_images: none at all; .* one or more"),
        (
            {"test_images": X, "test_labels": WORDS},
            r"`np.searchsorted\(np.unique\(labels\), test_labels\)` numbers them as those of la",
        ),
        ({"test_images": X, "test_labels": Y + 1}, "test_labels: from 1 to 4; expected 0 to 3"),
        ({"hierarchy": load("glyphs100", "test", n=100).hierarchy}, "hierarchy: has 100 classes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure_encoder(None, X, Y, **settings)


def test_every_measure_can_be_asked_alone() -> None:
    for name in MEASURES:
        table = measure_encoder(None, X, Y, which=(name,))
        assert set(table["measure"]) == {name}


@pytest.mark.slow
def test_a_torchvision_network_is_measured_as_it_comes() -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    encoder = resnet18(weights=None)
    encoder.fc = nn.Identity()
    table = measure_encoder(encoder, load("glyphs100", "test", n=400), which=("ncc", "cdnv", "nc1"))
    assert np.isfinite(table["value"]).all()
    chance = 1 / 20
    assert value(table, "ncc", "coarse", "output") > chance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("encoder", [nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3).double(), flat])
def test_images_in_double_precision_meet_the_encoders_own(encoder: object, dtype: object) -> None:
    x, y = torch.rand(48, 3, 4, 4, dtype=dtype), np.arange(48) % K  # type: ignore[call-overload]
    found = measure_encoder(encoder, x, y, which="cdnv")  # type: ignore[arg-type]
    assert np.isfinite(value(found, "cdnv", layer="output"))
    scaled = measure_encoder(encoder, x, y, which="cdnv", preprocess=lambda b: b.double() * 2)  # type: ignore[arg-type]
    assert np.isfinite(value(scaled, "cdnv", layer="output"))
    if encoder is flat:
        assert value(scaled, "cdnv", layer="output") == pytest.approx(
            value(found, "cdnv", layer="output"), rel=1e-4
        )


def test_one_measure_may_be_named_alone_and_nc2_when_asked_for() -> None:
    alone, listed = (measure_encoder(None, X, Y, which=w) for w in ("ncc", ("ncc",)))
    pd.testing.assert_frame_equal(alone, listed)
    found = measure_encoder(None, X, Y, which=("nc1", *NC2))
    fit = halves(Y)[0]
    expected = measures.neural_collapse(X[fit], Y[fit])
    for name in ("nc1", *NC2):
        assert value(found, name) == pytest.approx(getattr(expected, name))


def test_what_the_messages_advise_works() -> None:
    number = np.unique(WORDS, return_inverse=True)[1]
    assert value(measure_encoder(None, X, number, which="ncc"), "ncc") > 1 / K
    x, y = (torch.cat(parts) for parts in zip(*LOADER, strict=True))
    pair = torch.utils.data.default_collate([*LOADER.dataset])
    expected = measure_encoder(None, X, Y, which="ncc")
    pd.testing.assert_frame_equal(measure_encoder(None, x, y, which="ncc"), expected)
    pd.testing.assert_frame_equal(measure_encoder(None, *pair, which="ncc"), expected)
    measure_encoder(flat, NHWC.transpose(0, 3, 1, 2), Y, which="ncc")


def recipes() -> dict[str, str]:
    """The pages' blocks of code that are no cells and no solutions, by a word of each."""
    text = "\n".join(page.read_text("utf8") for page in PAGES)
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    shown = [block for block in blocks if "# solution:" not in block]
    words = ("prepare", "DataLoader", "nested", "pair", 'open_recording("my', "checkpoints",
             "EncoderRecorder")  # fmt: skip
    return {word: next(block for block in shown if word in block) for word in words}


@pytest.fixture
def at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's reader has: an encoder, images, labels, and the names imported before."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None)
    model.fc = nn.Identity()
    return {
        "model": model, "transformer": lambda x: x.flatten(2), "torch": torch, "pd": pd,
        "with_head": lambda x: {"features": x.flatten(1), "projection": x[:, :, 0, 0]},
        "images": torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8),
        "labels": np.arange(24) % 6, "mean": 0.5, "std": 0.25, "device": "cpu",
        "names": np.array(["oak", "maple", "rose", "cat", "dog", "oak"])[np.arange(24) % 6],
        "torchvision": torchvision, "measure_encoder": measure_encoder, "load": load,
        "transform": torchvision.transforms.ToTensor(),
    }  # fmt: skip


@pytest.mark.slow
def test_the_recipes_of_the_page_run_and_leave_the_encoder_as_it_was(
    at_hand: dict[str, Any],
) -> None:
    model = at_hand["model"]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    exec(recipes()["prepare"], at_hand)
    assert model.training
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


@pytest.mark.slow
def test_the_pages_ways_to_write_a_hierarchy_say_the_same(at_hand: dict[str, Any]) -> None:
    block, kind = recipes()["nested"], dict.fromkeys(["oak", "maple"], "tree") | {"rose": "flower"}
    calls = re.findall(r"measure_encoder\([^\n]*\)", block)
    assert len(calls) == 5
    found: list[pd.DataFrame] = []
    few = functools.partial(measure_encoder, which="ncc")
    table = pd.DataFrame({"species": at_hand["names"]})
    table["kind"] = [kind.get(name, "pet") for name in table["species"]]
    at_hand |= {"measure_encoder": lambda *a, **k: found.append(few(*a, **k)), "table": table}
    exec(block, at_hand)
    levels = {"fine", "permuted"} | {f"{kind}level1" for kind in ("", "random-", "looks-")}
    assert set(found[0]["level"]) == levels
    for other in found[1:]:
        other = other.assign(level=other["level"].str.replace("kind", "level1"))
        pd.testing.assert_frame_equal(other, found[0])


@pytest.mark.slow
def test_the_pages_sources_are_measured(at_hand: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        (Path("pictures") / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path("pictures") / name / f"{i}.png")
    dataset = TensorDataset(at_hand["images"].float() / 255, torch.from_numpy(at_hand["labels"]))
    at_hand |= {"dataset": dataset, "train_loader": DataLoader(dataset, batch_size=8)}
    exec(recipes()["DataLoader"], at_hand | {"test_loader": DataLoader(dataset, batch_size=5)})


@pytest.mark.slow
def test_the_pages_loop_goes_on_where_it_was(at_hand: dict[str, Any]) -> None:
    trained: list[int] = []
    at_hand |= {"train_one_epoch": lambda model: trained.append(1) or 1.0}
    block = recipes()["EncoderRecorder"]
    exec(block.replace("range(start + 1, 31)", "range(start + 1, 11)"), at_hand)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(block.replace("range(start + 1, 31)", "range(start + 1, 21)"), at_hand)
    assert open_recording("my-recordings/growing").epochs == (0, 10, 20)
    assert len(trained) == 20


@pytest.mark.slow
def test_the_page_records_checkpoints_and_features(at_hand: dict[str, Any]) -> None:
    block = recipes()["nested"]
    exec(block[: block.index("measure_encoder(")], at_hand)  # the groups
    for epoch in (0, 10, 100):
        torch.save(at_hand["model"].state_dict(), f"epoch-{epoch}.pt")
    few = functools.partial(
        record_encoder, progress=False,
        config=MeasureConfig(keep="all", sample_images=4, sample_views=3, sample_fresh=2),
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(24, 5))
    exec(recipes()["checkpoints"], at_hand | {"record_encoder": few, "before": x, "after": x})
    mine = open_recording("my-recordings/mine")
    assert (mine.epochs, mine.hierarchy.names) == ((0, 10, 100), ("fine", "level1"))
    assert "sample" in set(mine.measures["level"])
    assert open_recording("my-recordings/features").epochs == (0, 100)


@pytest.mark.slow
def test_the_page_puts_an_encoder_beside_a_recording(
    at_hand: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    glyphs = {split: load("glyphs100", split).subset(4) for split in ("train", "test")}
    in_place_of_cifar100 = lambda data, split, download: glyphs[split]  # noqa: E731
    monkeypatch.setattr(ssl_companion.data, "load", in_place_of_cifar100)
    exec(recipes()["pair"], at_hand)
    beside = at_hand["beside"]
    assert {"mine", "theirs", "recorded"} == set(beside.columns)
    assert np.isfinite(beside.loc["fine"]).all()


@pytest.mark.slow
def test_the_pages_own_run_is_a_command_that_exists() -> None:
    line = next(
        li
        for li in PAGES[1].read_text("utf8").splitlines()
        if li.startswith("ssl-companion train ")
    )
    command = cli.parse(cli.COMMANDS, line.split()[1:])
    assert f"{command.out}/{command.name}" in recipes()['open_recording("my']  # type: ignore[union-attr]


# --- every measure by its name, and more images than are asked about ---


def test_all_stands_for_every_measure_in_the_order_of_the_catalogue() -> None:
    table = measure_encoder(None, X, Y, which="all")
    assert set(table["measure"]) == set(CATALOGUE)
    by_one = measure_encoder(None, X, Y, which=(*MEASURES, *FURTHER_MEASURES))
    pd.testing.assert_frame_equal(table, by_one)


def test_further_measures_are_those_of_the_measures_module() -> None:
    (x, y), (x_test, z) = clusters(seed=0), clusters(seed=1)
    table = measure_encoder(None, x, y, test_images=x_test, test_labels=z, which="all")
    ratio, even = measures.participation_ratio(x_test), measures.uniformity(x_test)
    assert value(table, "participation_ratio", "all") == pytest.approx(ratio, rel=1e-12)
    assert value(table, "uniformity", "all") == pytest.approx(even, rel=1e-12)
    assert value(table, "directional_cdnv") == pytest.approx(measures.directional_cdnv(x, y))


def test_nc3_and_nc4_are_of_the_probes_weights_in_the_features_own_coordinates() -> None:
    """Features of very different scales, so that standardised weights would be others."""
    x, y = clusters()
    x = x * np.logspace(-2, 2, D) + 3
    found = measure_encoder(None, x, y, test_images=x, test_labels=y, which=("nc3", "nc4"))
    mean, deviation = x.mean(0), x.std(0)
    model = LogisticRegression(C=1 / (1e-4 * len(x)), max_iter=5000, tol=1e-9)
    model.fit((x - mean) / deviation, y)
    w = model.coef_ / deviation
    b = model.intercept_ - w @ mean
    m = np.stack([x[y == c].mean(0) for c in range(K)])
    centred = m - x.mean(0)
    nc3 = ((w / np.linalg.norm(w) - centred / np.linalg.norm(centred)) ** 2).sum()
    nearest = ((x[:, None] - m) ** 2).sum(2).argmin(1)
    assert value(found, "nc3") == pytest.approx(nc3, rel=1e-3)
    assert value(found, "nc4") == pytest.approx(
        ((x @ w.T + b).argmax(1) == nearest).mean(), abs=0.01
    )


def test_small_sets_are_whole_and_the_table_says_so() -> None:
    (x, y), (x_test, z) = clusters(50), clusters(30, seed=1)
    table = measure_encoder(None, x, y, test_images=x_test, test_labels=z, which="all")
    kinds = {name: about.of for name, about in CATALOGUE.items()}
    for row in table.itertuples():
        kind = kinds[row.measure]
        assert row.n == (200 if kind == "classes" else 120)
        assert row.n_fit == (0 if kind == "features" else 200)
        assert row.split == ("train" if kind == "classes" else "test")
    larger = measure_encoder(
        None, x, y, test_images=x_test, test_labels=z, which="all", subset_size=200
    )
    pd.testing.assert_frame_equal(table, larger)


def test_of_more_images_a_subset_is_asked_about_where_all_would_take_too_long() -> None:
    (x, y), (x_test, z) = clusters(300), clusters(200, seed=1)
    given = {"test_images": x_test, "test_labels": z, "which": "all", "seed": 5}
    table = measure_encoder(None, x, y, subset_size=100, **given)  # type: ignore[arg-type]
    fit, ask = balanced_subset(y, 100, seed=5), random_subset(len(z), 100, seed=5)
    assert np.bincount(y[fit]).tolist() == [25] * K
    sizes = table[table["level"] != "permuted"].set_index("measure")[["n", "n_fit"]]
    of_all = {"ncc": (800, 1200), "cdnv": (1200, 1200), "directional_cdnv": (1200, 1200),
              "nc1": (1200, 1200), "nc3": (1200, 100), "nc4": (100, 100), "knn": (100, 100),
              "linear": (100, 100), "effective_rank": (100, 0), "uniformity": (100, 0)}  # fmt: skip
    for name, expected in of_all.items():
        assert tuple(sizes.loc[name]) == expected, name
    few = x[fit], y[fit], x_test[ask], z[ask]
    rule = measures.WeightedKNN(k=10).fit(*few[:2])
    assert value(table, "knn") == pytest.approx(rule.score(*few[2:]))
    probe = measures.LinearProbe().fit(*few[:2])
    assert value(table, "linear") == pytest.approx(probe.score(*few[2:]))
    rank = measures.effective_rank(few[2])
    assert value(table, "effective_rank", "all") == pytest.approx(rank, rel=1e-12)
    collapse = measures.neural_collapse(x, y, probe.weight_)
    assert value(table, "nc3") == pytest.approx(collapse.nc3, rel=1e-9)
    assert value(table, "nc1") == pytest.approx(collapse.nc1, rel=1e-12)
    assert value(table, "cdnv") == pytest.approx(measures.cdnv(x, y), rel=1e-12)
    assert value(table, "ncc") == pytest.approx(NearestCentroid().fit(x, y).score(x_test, z))
    control = table.set_index("level").loc["permuted"]
    assert (control["n"], control["n_fit"]) == (100, 100)
    assert control["low"] <= 1 / K <= control["high"]


@pytest.mark.parametrize("size", [0, -5, 2.5, "many"])
def test_a_subset_of_no_images_is_refused(size: object) -> None:
    with pytest.raises(
        ValueError, match=f"subset_size: {size!r}; expected an integer of 1 or more"
    ):
        measure_encoder(None, X, Y, subset_size=size)  # type: ignore[arg-type]


def test_a_constant_encoder_has_none_of_the_further_measures_but_agreement() -> None:
    table = measure_encoder(None, np.ones((80, 3), np.float32), np.arange(80) % K, which="all")
    defined = set(table.dropna(subset="value")["measure"])
    assert defined == {"ncc", "linear", "knn", "effective_rank", "uniformity"}


IN_LITTLE_MEMORY = """
import sys, threading
import numpy as np
from ssl_companion.encoders import subsets
from ssl_companion.encoders.evaluate import measure_encoder

subsets._ROWS = 5000
x = np.load(sys.argv[1], mmap_mode="r")
y = np.arange(len(x)) % 50
few = {"subset_size": 1000,
       "which": ("ncc", "cdnv", "directional_cdnv", "nc1", "effective_rank", "uniformity", "knn")}
measure_encoder(None, x[:2000], y[:2000], **few)  # what a process makes room for once

def own():  # kB in memory that are no part of a mapped file
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0])

def watch():
    while not done.wait(0.01):
        peak.append(own())

before, peak, done = own(), [], threading.Event()
thread = threading.Thread(target=watch)
thread.start()
measure_encoder(None, x, y, **few)
measure_encoder(None, x, y, test_images=x, test_labels=y, **few)
done.set()
thread.join()
print(max(peak) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read memory from")
def test_mapped_features_are_never_copied_as_a_whole(tmp_path: Path) -> None:
    n, dims = 120_000, 256
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, dims))
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((1000, dims), dtype=np.float32)
    for start in range(0, n, 1000):
        x[start : start + 1000] = noise + (np.arange(1000) % 50)[:, None] * noise[:1, ::-1]
    x.flush()
    done = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY, tmp_path / "x.npy"],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    whole = n * dims * 4 / 1024
    # A copy of one half, in float32, is another half of it beside the 50 MB that it takes.
    assert int(done.stdout) < 3 / 4 * whole, (
        f"{done.stdout.strip()} kB beside {whole:.0f} of features"
    )
