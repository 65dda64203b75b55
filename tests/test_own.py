"""Your own encoder, measured: the numbers, what may be given, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid
from torch import nn

from ssl_companion import measures
from ssl_companion.data import load
from ssl_companion.own import MEASURES, halves, measure_encoder

K, D = 4, 6


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

    def mean_colour(x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))

    table = measure_encoder(mean_colour, images, which=("ncc", "cdnv"))
    names = images.hierarchy.names
    expected = {*names, *(f"random-{name}" for name in names[1:]), "permuted"}
    assert set(table["level"]) == expected
    assert set(table["layer"]) == {"output"}
    fit, held = halves(images.fine)
    x = (images.images / 255.0 - np.array([0.5071, 0.4865, 0.4409])[:, None, None]) / np.array(
        [0.2673, 0.2564, 0.2762]
    )[:, None, None]
    x = x.mean(axis=(2, 3))
    rule = NearestCentroid().fit(x[fit], images.labels("coarse")[fit])
    score = rule.score(x[held], images.labels("coarse")[held])
    assert value(table, "ncc", "coarse", "output") == pytest.approx(score, abs=0.011)


class Two(nn.Module):
    """Maps and vectors, with batch normalisation and dropout that must be off."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        maps = self.norm(self.conv(x))
        return {"maps": maps, "vectors": self.drop(maps.amax(dim=(2, 3)))}


def test_a_module_is_measured_in_evaluation_mode_layer_by_layer_and_left_as_it_was() -> None:
    torch.manual_seed(0)
    encoder = Two()
    encoder.train()
    encoder.norm.eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    x, y = torch.rand(48, 3, 8, 8), np.arange(48) % K
    tables = [
        measure_encoder(encoder, x, y, batch=batch, which=("ncc", "cdnv")) for batch in (7, 48)
    ]
    assert encoder.training and encoder.drop.training and not encoder.norm.training  # noqa: PT018
    after = encoder.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert set(tables[0]["layer"]) == {"maps", "vectors"}
    np.testing.assert_allclose(tables[0]["value"], tables[1]["value"], rtol=1e-4)
    encoder.eval()
    with torch.no_grad():
        maps = encoder(x)["maps"].mean(dim=(2, 3))
    fit, _ = halves(y)
    assert value(tables[0], "cdnv", layer="maps") == pytest.approx(
        measures.cdnv(maps[fit], y[fit]), rel=1e-4
    )


def test_bytes_are_normalised_and_other_images_and_preprocess_are_not() -> None:
    seen: list[torch.Tensor] = []

    def spy(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        return x.flatten(1)

    x = torch.randint(0, 256, (8, 3, 4, 4), dtype=torch.uint8)
    y = np.arange(8) % 2
    for images, preprocess in ((x, None), (x.float(), None), (x, lambda b: b.float() + 1)):
        measure_encoder(spy, images, y, which=("ncc",), preprocess=preprocess)
    fit, held = halves(y)
    own = torch.cat([x[fit], x[held]]).float()
    mean = torch.tensor([0.5071, 0.4865, 0.4409]).view(3, 1, 1)
    std = torch.tensor([0.2673, 0.2564, 0.2762]).view(3, 1, 1)
    torch.testing.assert_close(torch.cat(seen[:2]), (own / 255 - mean) / std)
    torch.testing.assert_close(torch.cat(seen[2:4]), own)
    torch.testing.assert_close(torch.cat(seen[4:]), own + 1)


def test_a_collapsed_encoder_has_no_widths_and_no_more_than_chance() -> None:
    x, y = torch.rand(80, 3, 8, 8), np.arange(80) % K
    table = measure_encoder(lambda b: torch.ones(len(b), 3), x, y)
    assert np.isnan(value(table, "cdnv", layer="output"))
    assert np.isnan(value(table, "nc1", layer="output"))
    assert value(table, "ncc", layer="output") == pytest.approx(1 / K)
    zeros = measure_encoder(lambda b: torch.zeros(len(b), 3), x, y)
    assert np.isnan(value(zeros, "knn", layer="output"))


X, Y = clusters()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda: (None, X), "labels: None; expected integers"),
        (lambda: (None, X, Y[:-1]), "expected 160 integers, one for each of images"),
        (lambda: (None, X, Y.astype(float)), "labels: float64"),
        (lambda: (None, X, Y - 1), "numbered from 0 without gaps"),
        (lambda: (None, X, 2 * Y), "numbered from 0 without gaps"),
        (lambda: (None, X, 0 * Y), "two classes or more"),
        (lambda: (None, np.where(X > 3, np.nan, X), Y), "expected finite numbers only"),
        (lambda: (None, np.zeros((160, 3, 4, 4)), Y), "without an encoder expected features"),
        (lambda: (None, [1, 2], Y), "expected an array or tensor"),
        (lambda: (lambda b: b.sum(), X, Y), "encoder: returned "),
        (lambda: (lambda b: [b], X, Y), "encoder: returned list"),
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
        ({"test_labels": Y}, "test_labels: given without test_images"),
        ({"test_images": X}, "test_labels: None"),
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
