"""Objectives against formulas written out in loops, against lightly, and by their symmetries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from scipy.special import logsumexp
from torch import Tensor

from ssl_companion.training import objectives
from ssl_companion.training.objectives import INVARIANCE_TERMS, Loss

# --- the formulas, in float64 -------------------------------------------------------------


def vicreg_by_hand(z1: np.ndarray, z2: np.ndarray) -> dict[str, float]:
    n, d = z1.shape
    variance = covariance = 0.0
    for z in (z1, z2):
        centred = z - z.mean(0)
        c = centred.T @ centred / (n - 1)
        variance += np.maximum(0, 1 - np.sqrt(np.diag(c) + 1e-4)).mean() / 2
        covariance += sum(c[i, j] ** 2 for i, j in itertools.permutations(range(d), 2)) / d
    return {"invariance": ((z1 - z2) ** 2).mean(), "variance": variance, "covariance": covariance}


def simclr_by_hand(z1: np.ndarray, z2: np.ndarray, temperature: float = 0.2) -> dict[str, float]:
    n = len(z1)
    similarities = unit([*z1, *z2]) @ unit([*z1, *z2]).T / temperature
    positives = [similarities[i, (i + n) % (2 * n)] for i in range(2 * n)]
    others = [np.delete(row, i) for i, row in enumerate(similarities)]
    return {"alignment": -np.mean(positives), "uniformity": np.mean([logsumexp(o) for o in others])}


def barlow_twins_by_hand(z1: np.ndarray, z2: np.ndarray) -> dict[str, float]:
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (z1, z2))
    correlation = a.T @ b / len(a)
    diagonal = np.diag(correlation)
    redundancy = (correlation**2).sum() - (diagonal**2).sum()
    return {"invariance": ((1 - diagonal) ** 2).sum(), "redundancy": redundancy}


def byol_by_hand(
    p1: np.ndarray, p2: np.ndarray, t1: np.ndarray, t2: np.ndarray
) -> dict[str, float]:
    pairs = ((p1, t2), (p2, t1))
    return {"invariance": sum(((unit(p) - unit(t)) ** 2).sum(1).mean() for p, t in pairs)}


def unit(z: Sequence[np.ndarray]) -> np.ndarray:
    return np.array(z) / np.linalg.norm(z, axis=1, keepdims=True)


LABELS = [2, 0, 1, 2, 2]


def supervised_by_hand(logits: np.ndarray) -> dict[str, float]:
    return {"cross_entropy": (logsumexp(logits, axis=1) - logits[range(5), LABELS]).mean()}


def supervised(logits: Tensor) -> Loss:
    return objectives.supervised(logits, torch.tensor(LABELS))


# name: the objective, its formula, how many embeddings it takes, how many of them learn
CASES: dict[str, tuple[Callable[..., Loss], Callable[..., dict[str, float]], int, int]] = {
    "vicreg": (objectives.vicreg, vicreg_by_hand, 2, 2),
    "simclr": (objectives.simclr, simclr_by_hand, 2, 2),
    "barlow_twins": (objectives.barlow_twins, barlow_twins_by_hand, 2, 2),
    "byol": (objectives.byol, byol_by_hand, 4, 2),
    "supervised": (supervised, supervised_by_hand, 1, 1),
}
RECIPE = {
    "vicreg": {"invariance": 25.0, "variance": 25.0, "covariance": 1.0},
    "simclr": {"alignment": 1.0, "uniformity": 1.0},
    "barlow_twins": {"invariance": 1.0, "redundancy": 5e-3},
    "byol": {"invariance": 1.0},
    "supervised": {"cross_entropy": 1.0},
}
PAIRS = ("vicreg", "simclr", "barlow_twins")
by_name = pytest.mark.parametrize("name", CASES)


def draw(
    count: int, n: int = 5, d: int = 3, seed: int = 0, scale: float = 0.8, dtype=torch.float64
) -> list[Tensor]:
    """Views of n points: the later ones are the first with noise, so that they correlate."""
    g = torch.Generator().manual_seed(seed)
    first = torch.randn((n, d), generator=g, dtype=torch.float64) * scale
    noise = torch.randn((count, n, d), generator=g, dtype=torch.float64) * scale / 2
    noise[0] = 0
    return [(first + one).to(dtype) for one in noise]


def with_gradient(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t.clone().requires_grad_() for t in tensors]


def close(ours: Tensor, theirs: Tensor | float, rtol: float = 1e-12) -> None:
    expected = torch.as_tensor(theirs, dtype=ours.dtype)
    torch.testing.assert_close(ours, expected, rtol=rtol, atol=rtol)


@by_name
@pytest.mark.parametrize("seed", range(3))
def test_terms_equal_the_formulas_and_gradients_differences(name: str, seed: int) -> None:
    ours, by_hand, count, learning = CASES[name]
    z = draw(count, seed=seed)
    loss, expected = ours(*z), by_hand(*(t.numpy() for t in z))
    assert set(loss.terms) == set(expected)
    for term, value in expected.items():
        close(loss.terms[term], value)
    close(loss.total, math.fsum(RECIPE[name][t] * value for t, value in expected.items()))
    given = [*with_gradient(z[:learning]), *z[learning:]]
    assert torch.autograd.gradcheck(lambda *some: ours(*some).total, given)


@pytest.mark.parametrize(("n", "d"), [(8, 16), (64, 500)])
@pytest.mark.parametrize("largest", [1.0, 1e1, 1e4])
def test_more_dimensions_than_samples_are_exact_to_float32(n: int, d: int, largest: float) -> None:
    z = torch.randn((n, d), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = z * torch.cat([torch.tensor([largest]), torch.logspace(-1, 0, d - 1)])
    covariances = torch.cov(z.T)
    off_diagonal = covariances - torch.diag(torch.diagonal(covariances))
    found = objectives.covariance_term(z.float()).double()
    assert found >= 0
    # Where one dimension holds nearly all of the variance, to the rounding of the whole sum.
    error = (found - off_diagonal.square().sum() / d).abs()
    assert error <= 1e-6 * covariances.square().sum() / d


def lightly_byol(p1: Tensor, p2: Tensor, t1: Tensor, t2: Tensor) -> Tensor:
    """|u - v|^2 = 2 - 2 cos in each of the two directions."""
    criterion = NegativeCosineSimilarity()
    return 4 + 2 * (criterion(p1, t2.detach()) + criterion(p2, t1.detach()))


LIGHTLY: dict[str, Callable[..., Tensor]] = {
    "vicreg": VICRegLoss(),
    "simclr": NTXentLoss(temperature=0.2),
    "barlow_twins": BarlowTwinsLoss(),
    "byol": lightly_byol,
}


@pytest.mark.parametrize("name", LIGHTLY)
@pytest.mark.parametrize(("n", "d"), [(2, 5), (16, 4), (24, 40)])
@pytest.mark.parametrize("scale", [0.05, 1.0, 20.0])
def test_values_and_gradients_equal_those_of_lightly(
    name: str, n: int, d: int, scale: float
) -> None:
    ours, _, count, learning = CASES[name]
    z = draw(count, n, d, seed=n + d, scale=scale)
    mine, theirs = with_gradient(z), with_gradient(z)
    loss, expected = ours(*mine).total, LIGHTLY[name](*theirs)
    assert loss.dtype == torch.float64
    close(loss, expected.detach(), 1e-10)
    loss.backward()
    expected.backward()
    assert all(teacher.grad is None for teacher in mine[learning:])
    for a, b in list(zip(mine, theirs, strict=True))[:learning]:
        assert a.grad is not None
        assert b.grad is not None
        size = b.grad.abs().max().item()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-10 * size + 1e-12)


@pytest.mark.parametrize(
    ("name", "settings_", "theirs"),
    [
        *(("vicreg", dict(zip(RECIPE["vicreg"], w, strict=True)), VICRegLoss(*w))
          for w in ((25.0, 25.0, 1.0), (5.0, 0.0, 1.0), (0.0, 1.0, 0.2))),
        *(("simclr", {"temperature": t}, NTXentLoss(temperature=t)) for t in (0.07, 0.5, 3.0)),
        ("barlow_twins", {"redundancy": 0.3}, BarlowTwinsLoss(lambda_param=0.3)),
    ],
)  # fmt: skip
def test_settings_mean_what_they_mean_in_lightly(
    name: str, settings_: dict[str, float], theirs: Callable[..., Tensor]
) -> None:
    z1, z2 = draw(2, 12, 6)
    close(CASES[name][0](z1, z2, **settings_).total, theirs(z1, z2))


def test_supervised_equals_scikit_learns_log_loss() -> None:
    logits = torch.randn((40, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = np.arange(40) % 7
    probabilities = torch.softmax(logits, dim=1).numpy()
    expected = sklearn.metrics.log_loss(labels, probabilities, labels=list(range(7)))
    close(objectives.supervised(logits, torch.from_numpy(labels)).total, expected)


# --- what a Loss says of itself ----------------------------------------------------------


@by_name
def test_one_term_of_each_compares_views(name: str) -> None:
    ours, _, count, _ = CASES[name]
    assert len(INVARIANCE_TERMS & set(ours(*draw(count)).terms)) == 1


@pytest.mark.parametrize("name", PAIRS)
def test_a_term_of_weight_0_is_reported_but_leaves_the_graph(name: str) -> None:
    ours = CASES[name][0]
    for off in RECIPE[name]:
        z1, z2 = with_gradient(draw(2))
        loss = ours(z1, z2, **{off: 0.0})
        loss.total.backward()
        a1, a2 = with_gradient(draw(2))
        reference = ours(a1, a2)
        sum(RECIPE[name][t] * v for t, v in reference.terms.items() if t != off).backward()
        close(loss.terms[off], reference.terms[off].item())
        torch.testing.assert_close(z1.grad, a1.grad)
        torch.testing.assert_close(z2.grad, a2.grad)


def test_a_term_that_overflows_does_no_harm_at_weight_0() -> None:
    # The squared covariances of such embeddings do not fit into float32.
    z1, z2 = with_gradient([t * 1e12 for t in draw(2, dtype=torch.float32)])
    loss = objectives.vicreg(z1, z2, covariance=0.0)
    loss.total.backward()
    assert loss.terms["covariance"].item() == math.inf
    assert torch.isfinite(loss.total)
    assert z1.grad is not None
    assert torch.isfinite(z1.grad).all()


# --- numbers at the edge -----------------------------------------------------------------


@by_name
@pytest.mark.parametrize("constant", [0.0, 1.0, -30.0])
def test_collapsed_embeddings_have_finite_gradients(name: str, constant: float) -> None:
    ours, _, count, learning = CASES[name]
    z = with_gradient([torch.full((5, 3), constant) for _ in range(count)])
    loss = ours(*z)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    for t in z[:learning]:
        assert t.grad is not None
        assert torch.isfinite(t.grad).all()


@by_name
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(name: str, dtype: torch.dtype) -> None:
    ours, _, count, _ = CASES[name]
    # Sums of squares of 300 are beyond the largest half, 65,504.
    halves = draw(count, scale=300, dtype=dtype)
    loss = ours(*halves)
    wide = ours(*(t.float() for t in halves))
    assert loss.total.dtype == torch.float32
    assert torch.isfinite(loss.total)
    assert loss.total.item() == wide.total.item()


@pytest.mark.parametrize("temperature", [1e-2, 1e-3, 1e-4])
def test_a_small_temperature_does_not_overflow(temperature: float) -> None:
    z = draw(2, 8, 4, dtype=torch.float32)
    z1, z2 = with_gradient(z)
    loss = objectives.simclr(z1, z2, temperature=temperature)
    loss.total.backward()
    expected = simclr_by_hand(*(t.double().numpy() for t in z), temperature)
    for term, value in expected.items():
        assert loss.terms[term].item() == pytest.approx(value, rel=1e-5)
    assert z1.grad is not None
    assert torch.isfinite(z1.grad).all()


# --- what does not change them -----------------------------------------------------------

drawn = st.builds(
    draw,
    st.just(4),
    n=st.integers(2, 9),
    d=st.integers(2, 7),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.01, 0.3, 1.0, 10.0]),
)
seeds = st.integers(0, 2**31)
modest = settings(max_examples=25, deadline=None)


def same(a: Loss, b: Loss, rtol: float = 1e-9) -> None:
    for name, value in a.terms.items():
        torch.testing.assert_close(value, b.terms[name], rtol=rtol, atol=1e-9)


def rotation(d: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn((d, d), generator=g, dtype=torch.float64))[0]


@pytest.mark.parametrize("name", [n for n in CASES if n != "supervised"])
@modest
@given(z=drawn, seed=seeds)
def test_the_order_of_samples_does_not_matter(name: str, z: list[Tensor], seed: int) -> None:
    ours, _, count, _ = CASES[name]
    order = torch.randperm(len(z[0]), generator=torch.Generator().manual_seed(seed))
    same(ours(*z[:count]), ours(*(t[order] for t in z[:count])))


@pytest.mark.parametrize("name", PAIRS)
@modest
@given(z=drawn)
def test_the_order_of_views_does_not_matter(name: str, z: list[Tensor]) -> None:
    ours = CASES[name][0]
    same(ours(z[0], z[1]), ours(z[1], z[0]))


@modest
@given(z=drawn, seed=seeds)
def test_vicreg_does_not_see_a_shift(z: list[Tensor], seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    a, b = torch.randn((2, z[0].shape[1]), generator=g, dtype=torch.float64)
    before = objectives.vicreg(z[0], z[1])
    same(before, objectives.vicreg(z[0] + a, z[1] + a), 1e-6)
    apart = objectives.vicreg(z[0] + a, z[1] + b)  # the regularizer looks at each view alone
    close(apart.terms["variance"], before.terms["variance"].item(), 1e-6)
    close(apart.terms["covariance"], before.terms["covariance"].item(), 1e-6)


@modest
@given(z=drawn)
def test_ranges(z: list[Tensor]) -> None:
    vicreg = objectives.vicreg(*z[:2]).terms
    assert vicreg["invariance"] >= 0
    assert 0 <= vicreg["variance"] <= 1
    assert vicreg["covariance"] >= 0
    simclr = objectives.simclr(*z[:2])
    assert simclr.total >= 0  # the positive is one of the others
    assert simclr.terms["alignment"].abs() <= 5 + 1e-9  # 1 / temperature
    assert 0 <= objectives.byol(*z).total <= 8 + 1e-9
    assert all(term >= 0 for term in objectives.barlow_twins(*z[:2]).terms.values())


def test_equal_views_have_no_invariance_loss() -> None:
    z, _ = draw(2, 9, 4)
    assert objectives.vicreg(z, z).terms["invariance"].item() == 0
    close(objectives.byol(z, z, z, z).total, 0.0)
    close(objectives.simclr(z, z, temperature=0.5).terms["alignment"], -2.0)
    close(objectives.barlow_twins(z, z, eps=1e-20).terms["invariance"], 0.0)


# --- what is refused ---------------------------------------------------------------------

Z = torch.ones((4, 3))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    ("z1", "z2", "message"),
    [
        (Z, torch.ones((4, 2)), r"z1, z2: shapes \(4, 3\) and \(4, 2\); expected the same"),
        (Z, torch.ones((5, 3)), r"shapes \(4, 3\) and \(5, 3\)"),
        (Z[0], Z[0], r"z1: shape \(3,\).*expected a float tensor \[N samples, D dimensions\]"),
        (Z, Z[None], r"z2: shape \(1, 4, 3\)"),
        (Z.long(), Z.long(), r"z1: .*torch\.int64.*expected a float tensor"),
        (Z[:1], Z[:1], r"z1: 1 sample; expected 2 or more"),
    ],
)
def test_embeddings_that_do_not_fit(name: str, z1: Tensor, z2: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CASES[name][0](z1, z2)


def test_byol_looks_at_all_four_and_simclr_at_its_temperature() -> None:
    for teachers in ((Z, Z[:, :2]), (Z[:3], Z)):
        with pytest.raises(ValueError, match="expected the same"):
            objectives.byol(Z, Z, *teachers)
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=r"temperature: .*; expected a positive number"):
            objectives.simclr(Z, Z, temperature=temperature)


@pytest.mark.parametrize("name", PAIRS)
def test_all_weights_0(name: str) -> None:
    with pytest.raises(ValueError, match="weights: 0 for each of"):
        CASES[name][0](Z, Z, **dict.fromkeys(RECIPE[name], 0.0))


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.ones((4, 3)), torch.zeros(5, dtype=torch.int64), r"\(4, 3\) and \(5,\)"),
        (torch.ones(4), torch.zeros(4, dtype=torch.int64), r"expected floats \[N, K\]"),
        (torch.ones((2, 3)).long(), torch.zeros(2, dtype=torch.int64), "torch.int64"),
        (torch.ones((2, 3)), torch.tensor([0, 3]), "labels: from 0 to 3; expected 0 to 2"),
        (torch.ones((2, 3)), torch.tensor([-100, 1]), "labels: from -100 to 1"),
    ],
)
def test_labels_that_do_not_fit(logits: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        objectives.supervised(logits, labels)
