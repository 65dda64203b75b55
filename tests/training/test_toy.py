"""The toy world: reproducible, honest about its measures, and each term does what it should."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from ssl_companion.training import objectives
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.toy import ToyConfig, cloud_state, train_toy

AT = (0, 100)


def final(objective: ObjectiveConfig, **settings: float) -> dict[str, float]:
    return cloud_state(train_toy(objective, ToyConfig(**settings), AT).at(AT[-1]))  # type: ignore[arg-type]


def test_the_state_of_a_cloud_agrees_with_numpy_and_scikit_learn() -> None:
    from sklearn.neighbors import NearestCentroid

    rng = np.random.default_rng(0)
    cloud = (rng.normal(size=(5, 1, 2)) + 0.6 * rng.normal(size=(5, 12, 2))).astype(np.float32)
    found, labels = cloud_state(cloud), np.repeat(np.arange(5), 9)
    rule = NearestCentroid().fit(cloud[:, :9].reshape(-1, 2), labels)
    expected = rule.score(cloud[:, 9:].reshape(-1, 2), np.repeat(np.arange(5), 3))
    assert found["ncc"] == pytest.approx(expected)
    flat = cloud.reshape(-1, 2).astype(np.float64)
    assert found["spread"] == pytest.approx(np.sqrt(flat.var(axis=0).mean()))
    p = np.linalg.eigvalsh(np.cov(flat.T))
    p /= p.sum()
    assert found["rank"] == pytest.approx(np.exp(-(p * np.log(p)).sum()))


def test_a_run_repeats_and_follows_its_seed_and_leaves_the_global_state_alone() -> None:
    before = torch.get_rng_state()
    runs = [train_toy(ObjectiveConfig(), ToyConfig(seed=s), (0, 5)) for s in (0, 0, 1)]
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(runs[0].embeddings, runs[1].embeddings)
    assert not np.allclose(runs[0].embeddings, runs[2].embeddings)
    assert runs[0].embeddings.shape == (2, 24, 12, 2)


def test_variants_of_one_seed_begin_at_the_same_network() -> None:
    starts = [
        train_toy(ObjectiveConfig(name=name), at=(0, 1)).at(0)  # type: ignore[arg-type]
        for name in ("vicreg", "simclr", "barlow_twins", "byol")
    ]
    for start in starts[1:]:
        np.testing.assert_array_equal(start, starts[0])


def test_the_terms_are_those_of_the_objective() -> None:
    run = train_toy(ObjectiveConfig(), ToyConfig(noise=0.0, wobble=0.0, pairs=12), (0, 1))
    # Without noise both views are the image itself, so the batch is what is shown.
    z = torch.from_numpy(run.at(0).reshape(-1, 2))
    expected = objectives.vicreg(z, z).terms
    found = run.terms[run.terms["step"] == 0].set_index("term")["value"]
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4, abs=1e-7)


@pytest.mark.slow
def test_each_term_does_what_the_chapter_says() -> None:
    alone = final(ObjectiveConfig(regularizer=0))
    variance = final(ObjectiveConfig(covariance=0))
    whole = final(ObjectiveConfig())
    blind = final(ObjectiveConfig(invariance=0))
    assert alone["spread"] < 0.02 < 0.5 < whole["spread"]
    assert variance["spread"] > 0.5
    assert variance["rank"] < 1.3 < 1.8 < whole["rank"]
    assert blind["ncc"] < 0.5 < 0.8 < whole["ncc"]


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: ToyConfig(columns=0), "columns: 0; expected 1 or more"),
        (lambda: ToyConfig(shown=3), "shown: 3; expected 4 or more"),
        (lambda: ToyConfig(wobble=-1.0), "wobble: -1.0; expected 0 or more"),
        (lambda: ToyConfig(noise=float("nan")), "noise: nan; expected 0 or more"),
        (lambda: ToyConfig(lr=0.0), "lr: 0.0; expected a positive number"),
        (lambda: ToyConfig(columns=1, rows=1), "expected two images or more"),
        (lambda: train_toy(ObjectiveConfig("supervised")), "expected one without labels"),
        (lambda: train_toy(ObjectiveConfig(), at=()), r"at: \(\); expected steps of 0 or more"),
        (lambda: train_toy(ObjectiveConfig(), at=(0, 1)).at(3), "step: 3; expected one of"),
    ],
)
def test_what_makes_no_sense_is_refused(refused: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        refused()
