"""Alignment and uniformity: the formulas written out, their ends, symmetries, bad arguments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import alignment, uniformity

SEEDS = st.integers(0, 2**32 - 1)


def unit(X: np.ndarray) -> np.ndarray:
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.fixture
def views() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 6))
    return X, X + 0.5 * rng.standard_normal((50, 6))


@pytest.mark.parametrize("rows", [7, 2048])
def test_both_are_what_wang_and_isola_wrote(views, rows, monkeypatch):
    """Their code: `(x - y).norm(dim=1).pow(a).mean()`, and `pdist(x).pow(2).mul(-t).exp()` with the
    logarithm of its mean."""
    monkeypatch.setattr("ssl_companion.measures.hypersphere._ROWS", rows)
    X, X2 = views
    for alpha in (1.0, 2.0, 3.5):
        expected = (np.linalg.norm(unit(X) - unit(X2), axis=1) ** alpha).mean()
        assert alignment(X, X2, alpha) == pytest.approx(expected, rel=1e-12)
    for t in (0.1, 2.0, 30.0):
        expected = np.log(np.exp(-t * pdist(unit(X)) ** 2).mean())
        assert uniformity(X, t) == pytest.approx(expected, rel=1e-12)
        single = torch.from_numpy(X).float()
        assert uniformity(single, t) == pytest.approx(expected, rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, scale=st.floats(1e-6, 1e6))
def test_both_are_free_of_rotation_length_and_order(seed, scale):
    rng = np.random.default_rng(seed)
    X, X2 = rng.standard_normal((2, 30, 5))
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    order, lengths = rng.permutation(30), scale * rng.uniform(0.1, 9, (30, 1))
    assert uniformity((lengths * X @ turn)[order]) == pytest.approx(uniformity(X), abs=1e-9)
    moved = alignment((lengths * X @ turn)[order], (X2 @ turn)[order])
    assert moved == pytest.approx(alignment(X, X2), rel=1e-9)
    assert alignment(X2, X) == pytest.approx(alignment(X, X2), rel=1e-12)


def test_both_at_their_ends():
    X = np.random.default_rng(0).standard_normal((40, 3))
    assert alignment(X, 3 * X) == pytest.approx(0, abs=1e-30)
    assert alignment(X, -X) == pytest.approx(4)
    assert uniformity(np.full((9, 2), 0.3)) == pytest.approx(0, abs=1e-12)
    assert uniformity([[1.0], [-1.0]], t=3.0) == pytest.approx(-12)
    # Of directions drawn evenly: E exp(-t |u - v|^2) has a closed form where D = 3.
    many = np.random.default_rng(1).standard_normal((5000, 3))
    assert uniformity(many) == pytest.approx(math.log((1 - math.exp(-8)) / 8), abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: alignment(np.eye(3), np.eye(3)[:2]), "X2: 2 rows; expected 3, a second view"),
        (lambda: alignment(np.eye(3), np.ones((3, 2))), "X2: 2 dimensions; expected 3"),
        (lambda: alignment(np.eye(2), np.eye(2), 0), "alpha: 0"),
        (lambda: alignment(np.eye(2), np.eye(2), 1e4), "alpha: 10000; expected 1000 or less"),
        (lambda: uniformity(np.eye(2), -1), "t: -1"),
        (lambda: uniformity(np.eye(2), 1e300), r"t: 1e\+300; expected 1000 or less"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_rows_of_zeros_and_a_single_row_have_no_value(monkeypatch):
    monkeypatch.setattr("ssl_companion.measures.hypersphere._ROWS", 2)
    X = np.ones((7, 2))
    X[5] = 0
    for call in (lambda: uniformity(X), lambda: alignment(X, X)):
        with pytest.raises(UndefinedMeasure, match=r"X\[5\]: all zeros"):
            call()
    with pytest.raises(UndefinedMeasure, match="X: a single row; expected two or more"):
        uniformity(X[:1])
