"""Linear probe: how well a linear classifier reads the classes out of frozen features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike

_ROWS = 8192


@dataclass(frozen=True)
class ProbeConfig:
    """Settings of a linear probe.

    The loss is the mean cross-entropy plus l2/2 times the squared weights (not the bias):
    scikit-learn's LogisticRegression at C = 1 / (l2 N).

    Attributes:
        method: "lbfgs" (full batch, to convergence) or "minibatch" (Adam, cosine schedule).
        l2: strength of the penalty on the weights of the standardised features.
        standardise: divide each feature by its training standard deviation, after its mean.
        max_iter: most L-BFGS iterations.
        tolerance: L-BFGS stops at this largest absolute gradient.
        epochs, batch_size, learning_rate: of the mini-batch method.
        seed: of the mini-batch order; L-BFGS needs none.
    """

    method: str = "lbfgs"
    l2: float = 1e-4
    standardise: bool = True
    max_iter: int = 300
    tolerance: float = 1e-5
    epochs: int = 30
    batch_size: int = 1024
    learning_rate: float = 1e-2
    seed: int = 0

    def __post_init__(self) -> None:
        _checks.one_of(self.method, ("lbfgs", "minibatch"), "method")
        _checks.not_negative(self.l2, "l2")
        _checks.positive(self.tolerance, "tolerance")
        _checks.positive(self.learning_rate, "learning_rate")
        for name in ("max_iter", "epochs", "batch_size"):
            _checks.at_least(getattr(self, name), 1, name)
        _checks.at_least(self.seed, 0, "seed")


class LinearProbe:
    """Multinomial logistic regression on frozen features, in torch, on CPU or CUDA.

    Computes in float64 if the training features are float64, else in float32. The same seed
    gives the same weights on the same machine.

    Args:
        config: the settings; keyword arguments replace single ones of them.
        device: where to compute; None takes that of the training features.

    Attributes:
        weight_: [K, D] and bias_: [K], for features as they come (standardisation folded in);
            float64 numpy arrays.
        n_iter_: L-BFGS iterations or mini-batch steps taken.
        loss_: the penalised loss at the end, in nats (mini-batch: on the last batch).
    """

    weight_: np.ndarray
    bias_: np.ndarray
    n_iter_: int
    loss_: float

    def __init__(
        self,
        config: ProbeConfig | None = None,
        device: torch.device | str | None = None,
        **settings: Any,
    ) -> None:
        self.config = replace(config or ProbeConfig(), **settings)
        self.device = None if device is None else torch.device(device)
        self._weight: Tensor | None = None

    def fit(self, X: ArrayLike, y: ArrayLike) -> LinearProbe:
        """Fit to features X [N, D] with labels y [N], 0 to K-1.

        Raises:
            ValueError: bad features or labels, an absent or a single class.
        """
        x = _checks.features(X, "X", device=self.device)
        y_ = _checks.labels(y, "y", length=len(x), device=x.device)
        counts = torch.bincount(y_)
        _checks.refuse_absent(counts, "y")
        self._mean, self._deviation = _moments(x, self.config.standardise)
        z = self._standardised(x).to(x.dtype)
        weight = torch.zeros(len(counts), x.shape[1], dtype=x.dtype, device=x.device)
        bias = torch.zeros(len(counts), dtype=x.dtype, device=x.device)
        weight.requires_grad_(True)
        bias.requires_grad_(True)
        with torch.enable_grad():
            solve = _lbfgs if self.config.method == "lbfgs" else _minibatch
            self.n_iter_, self.loss_ = solve(z, y_, weight, bias, self.config)
        self._weight, self._bias = weight.detach(), bias.detach()
        raw = self._weight.double() / self._deviation
        self.weight_ = raw.cpu().numpy()
        self.bias_ = (self._bias.double() - raw @ self._mean).cpu().numpy()
        return self

    def _standardised(self, x: Tensor) -> Tensor:
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for rows, to in zip(x.split(_ROWS), out.split(_ROWS), strict=True):
            to.copy_((rows.double() - self._mean) / self._deviation)
        return out

    def _logits(self, X: ArrayLike) -> Tensor:
        if self._weight is None:
            raise ValueError("LinearProbe has no weights; expected a call of fit first")
        w = self._weight
        x = _checks.features(X, "X", dims=w.shape[1], device=w.device)
        return torch.addmm(self._bias, self._standardised(x).to(w.dtype), w.T)

    def decision_function(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Logits, [N, K].

        Raises:
            ValueError: not fitted, bad features, or wrong D.
        """
        return _checks.in_kind(self._logits(X), X)

    def predict(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Class with the largest logit, int64 [N].

        Raises:
            ValueError: as for `decision_function`.
        """
        return _checks.in_kind(self._logits(X).argmax(1), X)

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy, a fraction in [0, 1].

        Raises:
            ValueError: as for `predict`, mismatched lengths, or labels of K or more.
        """
        y_ = _checks.labels(y, "y")
        predicted = self.predict(X)
        _checks.labels_below(y_, len(self.bias_))
        return _checks.accuracy(predicted, y_)


@dataclass(frozen=True)
class ProbeAccuracy:
    """Accuracy of a linear probe, as fractions: on the samples it was fitted to, and on others."""

    train: float
    test: float


def linear_probe(
    train_X: ArrayLike,
    train_y: ArrayLike,
    test_X: ArrayLike,
    test_y: ArrayLike,
    config: ProbeConfig | None = None,
    device: torch.device | str | None = None,
) -> ProbeAccuracy:
    """Fit a linear probe on one set of features and score it on both.

    Raises:
        ValueError: as for `LinearProbe`.
    """
    probe = LinearProbe(config, device).fit(train_X, train_y)
    return ProbeAccuracy(probe.score(train_X, train_y), probe.score(test_X, test_y))


def _moments(x: Tensor, standardise: bool) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [D] in float64; 0 and 1 when features stay as they are."""
    mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    deviation = torch.ones_like(mean)
    if not standardise:
        return mean, deviation
    origin = x[0].double()
    for rows in x.split(_ROWS):
        mean += (rows.double() - origin).sum(0) / len(x)
    mean += origin
    square = torch.zeros_like(mean)
    for rows in x.split(_ROWS):
        square += (rows.double() - mean).square().sum(0) / len(x)
    deviation = square.sqrt()
    # A feature that is constant up to its type's rounding carries nothing: leave it at zero.
    rounding = max(1e-12, torch.finfo(x.dtype).eps)
    constant = deviation <= rounding * mean.abs()
    return mean, torch.where(constant, torch.full_like(deviation, torch.inf), deviation)


def _penalised(z: Tensor, y: Tensor, weight: Tensor, bias: Tensor, l2: float) -> Tensor:
    return cross_entropy(torch.addmm(bias, z, weight.T), y) + l2 / 2 * weight.square().sum()


def _lbfgs(
    z: Tensor, y: Tensor, weight: Tensor, bias: Tensor, config: ProbeConfig
) -> tuple[int, float]:
    optimiser = torch.optim.LBFGS(
        [weight, bias],
        max_iter=config.max_iter,
        tolerance_grad=config.tolerance,
        tolerance_change=torch.finfo(z.dtype).eps / 100,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = _penalised(z, y, weight, bias, config.l2)
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        loss = float(_penalised(z, y, weight, bias, config.l2))
    return int(optimiser.state[weight]["n_iter"]), loss


def _minibatch(
    z: Tensor, y: Tensor, weight: Tensor, bias: Tensor, config: ProbeConfig
) -> tuple[int, float]:
    optimiser = torch.optim.Adam([weight, bias], lr=config.learning_rate)
    steps = config.epochs * -(-len(z) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    # Drawn on the CPU, so that the order is the same on every device.
    generator = torch.Generator().manual_seed(config.seed)
    loss = z.new_zeros(())
    for _ in range(config.epochs):
        order = torch.randperm(len(z), generator=generator).to(z.device)
        for batch in order.split(config.batch_size):
            optimiser.zero_grad()
            loss = _penalised(z[batch], y[batch], weight, bias, config.l2)
            loss.backward()
            optimiser.step()
            schedule.step()
    return steps, float(loss.detach())
