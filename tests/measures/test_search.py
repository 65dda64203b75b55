"""The margins of the search: a smaller one would give wrong answers, a larger one costs time."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ssl_companion.measures import NearestCentroid, _faiss, _search, nearest_neighbours

UNIT32, UNIT64 = float(np.finfo(np.float32).eps) / 2, float(np.finfo(np.float64).eps) / 2


def higham(n: int, unit: float) -> float:
    """gamma_n, what n roundings add up to at most (Higham 2002, section 3.1)."""
    return n * unit / (1 - n * unit)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dims=st.sampled_from([1, 2, 30, 500]),
    log_ratio=st.floats(-5, 5),
)
def test_float32s_error_is_no_smaller_than_highams_bound(
    seed: int, dims: int, log_ratio: float
) -> None:
    """Of |c|^2 - 2 x.c: products of D terms, two sums, and centres and rows rounded before."""
    rng = np.random.default_rng(seed)
    x, c = rng.standard_normal(dims), rng.standard_normal(dims) * 10**log_ratio
    nx, nc = np.linalg.norm(x), np.linalg.norm(c)
    bound = higham(dims + 2, UNIT32) * (2 * nx * nc + nc**2)  # + 2: x and c were rounded
    bound += 2 * UNIT32 * (nx + nc) ** 2  # of the sums |x|^2 + |c|^2, and of that and -2 x.c
    square = torch.tensor([((x - c) ** 2).sum()])
    found = _search.float32_error(square, torch.tensor([nx]), dims, nc)
    assert float(found) >= bound
    by_differences = higham(dims + 2, UNIT32) * float(square) + 4 * UNIT32 * nx * nc
    assert float(found) >= by_differences
    # Where no centre is longer than |c|, the norms bound the reach.
    assert float(_search.float32_error(square, torch.tensor([nx]), dims, math.inf)) >= bound
    assert float(found) <= 8 * max(bound, by_differences) + dims * 2.0**-119


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dims=st.sampled_from([1, 8, 300]), near=st.floats(-9, 0))
def test_what_is_called_sure_is_true_of_float64(seed: int, dims: int, near: float) -> None:
    """FAISS's own squares of centres that lie close together, seen from further off."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(2) * rng.standard_normal(dims)
    centres = centres + 10**near * rng.standard_normal((20, dims))
    x = torch.from_numpy(rng.standard_normal((64, dims))).float()
    base = torch.from_numpy(centres).float()
    squares, rows = _faiss.nearest(x, base, 20)
    exact = (x.double()[:, None] - base.double()).square().sum(-1).gather(1, rows)
    longest = float(base.norm(dim=1).max())
    for j in range(19):
        sure = _search.surely_nearer(squares[:, j], squares[:, j + 1], x.norm(dim=1), dims, longest)
        later = exact[:, j + 1 :].amin(1)
        assert bool((exact[sure, j] < later[sure]).all())


@pytest.mark.parametrize(("near", "far", "sure"), [(1.0, 1.0, False), (1.0, 2.0, True)])
def test_a_tie_is_never_sure_and_a_gap_is(near: float, far: float, sure: bool) -> None:
    x = torch.tensor([2.0]), 4
    found = _search.surely_nearer(torch.tensor([near]), torch.tensor([far]), *x, 1.0)
    assert found.tolist() == [sure]
    nan = torch.tensor([math.nan])
    assert _search.surely_nearer(nan, torch.tensor([far]), *x, 1.0).tolist() == [False]
    assert _search.surely_nearer(torch.tensor([near]), nan, *x, 1.0).tolist() == [False]


def test_the_gap_has_to_exceed_both_errors() -> None:
    norms, one = torch.tensor([2.0]), torch.ones(1)
    error = float(_search.float32_error(one, norms.double(), 4, 1.0))
    for gap, sure in ((1.9, False), (2.1, True)):
        far = one.double() + gap * error
        assert _search.surely_nearer(one, far, norms, 4, 1.0).tolist() == [sure]


def test_the_longest_centre_bounds_the_reach_however_few_there_are() -> None:
    for k, d in ((2, 64), (64, 2)):
        centres = np.random.default_rng(0).standard_normal((k, d))
        search = _search.ExactSearch(torch.from_numpy(centres))
        away = np.linalg.norm(centres - centres.mean(0), axis=1)
        assert search._largest_norm == pytest.approx(away.max())


@pytest.fixture
def in_doubt(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows float64 was asked for, each time."""
    asked: list[int] = []
    real = _search.ExactSearch._in_float64

    def noted(self: _search.ExactSearch, x: Tensor) -> Tensor:
        asked.append(len(x))
        return real(self, x)

    monkeypatch.setattr(_search.ExactSearch, "_in_float64", noted)
    return asked


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_few_rows_are_in_doubt_wherever_the_features_lie(
    clusters: object, in_doubt: list[int], offset: float
) -> None:
    X, y = clusters(n=5000, k=50, d=64, spread=1.0)  # type: ignore[operator]
    NearestCentroid().fit(X + offset, y).predict(X + offset)
    assert sum(in_doubt) < 50


@pytest.mark.parametrize("dims", [3, 2000])
@pytest.mark.parametrize("n", [1, 2, 19, 20, 31, 64, 3000])
def test_any_number_of_rows_far_from_tight_centres_is_searched_as_float64_would(
    n: int, dims: int
) -> None:
    """FAISS takes differences for few rows and products for many, with errors of their own."""
    rng = np.random.default_rng(n)
    centres = 1e-4 * rng.standard_normal((50, dims))
    x = rng.standard_normal((n, dims))
    found = NearestCentroid.from_centroids(centres).predict(x)
    expected = np.array([((row - centres) ** 2).sum(1).argmin() for row in x])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("n", [3, 19, 20, 31, 200])
def test_neighbours_within_float32s_rounding_are_those_of_float64(n: int) -> None:
    x = np.random.default_rng(0).standard_normal((n, 5))
    points = np.repeat(x[:1], n, axis=0) + 1e-9 * x
    points[-1] += 1  # so that the others lie within the rounding of their distance from the mean
    exact = ((points[:, None] - points) ** 2).sum(-1)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_array_equal(nearest_neighbours(points, 1)[0][:, 0], exact.argmin(1))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), dims=st.sampled_from([1, 3, 200]), log_near=st.floats(-16, 0)
)
def test_float64_leaves_no_nearest_centre_out(seed: int, dims: int, log_near: float) -> None:
    """Products choose candidates, differences decide among them: as by differences alone."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal(dims) * 100 + 10**log_near * rng.standard_normal((40, dims))
    centres[20:] += rng.standard_normal(dims)
    x = centres[rng.integers(0, 40, 50)] + 10**log_near * rng.standard_normal((50, dims))
    search = _search.ExactSearch(torch.from_numpy(centres))
    with mock.patch.object(_search, "float64_error", wraps=_search.float64_error) as error:
        found = search._in_float64(torch.from_numpy(x)).numpy()
    norms, reach, own_dims = error.call_args.args
    assert own_dims == dims
    away = torch.from_numpy(centres - search._mean.numpy()).norm(dim=1)[torch.from_numpy(found)]
    assert bool((reach[:, 0] >= away * (1 - 1e-6)).all())  # no centre that matters is longer
    np.testing.assert_allclose(norms[:, 0], np.linalg.norm(x - search._mean.numpy(), axis=1))
    squares = ((x[:, None] - centres) ** 2).sum(-1)
    np.testing.assert_array_equal(found, squares.argmin(1))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dims=st.sampled_from([1, 8, 300]),
    log_ratio=st.floats(-5, 5),
)
def test_float64s_error_is_no_smaller_than_highams_bound(
    seed: int, dims: int, log_ratio: float
) -> None:
    rng = np.random.default_rng(seed)
    x, c = rng.standard_normal(dims), rng.standard_normal(dims) * 10**log_ratio
    nx, nc = np.linalg.norm(x), np.linalg.norm(c)
    # Of |c|^2 / 2 - x.c of two centres, rows and centres rounded before.
    bound = 2 * higham(dims + 3, UNIT64) * (nx * nc + nc**2 / 2)
    found = _search.float64_error(torch.tensor([[nx]]), torch.tensor([[nc]]), dims)
    assert bound <= float(found)


def test_points_at_a_centre_without_any_error_find_it() -> None:
    search = _search.ExactSearch(torch.zeros(3, 2, dtype=torch.float64))
    assert search._in_float64(torch.zeros(4, 2, dtype=torch.float64)).tolist() == [0] * 4


@pytest.mark.parametrize("log_scale", [-300, -170, -160, -155, -150, -140, -131, -129, -120, 140])
def test_rows_of_any_length_keep_their_direction(log_scale: int) -> None:
    rows = np.random.default_rng(0).standard_normal((50, 6))
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    both = torch.from_numpy(np.concatenate([rows * 10.0**log_scale, rows]))
    found = _search.unit(both, "X").numpy()
    np.testing.assert_allclose(found[:50], expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found[50:], expected, rtol=1e-13)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(["euclidean", "cosine"]),
    dims=st.sampled_from([2, 7, 300]),
    log_tight=st.floats(-8, 0),
    log_scale=st.floats(-36, 36),
)
def test_float32_rows_are_searched_as_float64_would(
    seed: int, metric: str, dims: int, log_tight: float, log_scale: float
) -> None:
    """Without a way by float64, whatever their size, and however alike their directions are."""
    rng = np.random.default_rng(seed)
    near = rng.standard_normal(dims)
    centres = near + 10**log_tight * rng.standard_normal((30, dims))
    # Halfway between two of them, so that float32 often cannot tell which is nearer.
    i, j = rng.integers(0, 30, (2, 200))
    x = (centres[i] + centres[j]) / 2 + 1e-7 * rng.standard_normal((200, 1)) * centres[i]
    scale = 10**log_scale
    rows = (x * scale).astype(np.float32)
    model = NearestCentroid.from_centroids((centres * scale).astype(np.float32), metric=metric)  # type: ignore[arg-type]
    wide, means = rows.astype(np.longdouble), model.centroids_.astype(np.longdouble)
    if metric == "cosine":
        wide /= np.sqrt((wide**2).sum(1, keepdims=True))
        means /= np.sqrt((means**2).sum(1, keepdims=True))
    squares = ((wide[:, None] - means) ** 2).sum(-1)
    found = np.take_along_axis(squares, model.predict(rows)[:, None], 1)[:, 0]
    # Float64 cannot tell directions apart that differ by less than its rounding.
    least = np.sqrt(squares.min(1)) + (1e-15 if metric == "cosine" else 0)
    assert (np.sqrt(found) <= least * (1 + 1e-12)).all()
