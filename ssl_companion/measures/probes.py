"""Linear probe: how well a linear classifier reads the classes out of frozen features."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._torch_state import known_device, plain_torch

_ROWS = 8192  # rows made float64 at a time: memory, and no number
# A fit has converged where the gradient fell to a tenth: at 100 iterations the probes of this
# package's own recordings leave up to a twenty-fifth.
_CONVERGED = 0.1
_LARGE = 16.0  # magnitudes above it are divided before the fit; below, nothing is gained


class LinearProbe:
    """Multinomial logistic regression on frozen features, in torch, on CPU or CUDA.

    The loss is the mean cross-entropy plus l2/2 times the squared weights (not the bias):
    scikit-learn's LogisticRegression at C = 1 / (l2 N). Full-batch L-BFGS goes to convergence,
    in float64 if the training features are float64, else in float32.

    Args:
        l2: strength of the penalty on the weights of the standardised features.
        standardise: divide each feature by its training standard deviation, after its mean.
        max_iter: most iterations.
        tolerance: it stops at this largest absolute gradient (of features that are divided by a
            power of two first where they are large and not standardised).
        device: where to compute; None takes that of the training features.

    Attributes:
        weight_: [K, D] and bias_: [K], for features as they come (standardisation folded in);
            float64 numpy arrays.
        n_iter_: iterations taken.
        loss_: the penalised loss at the end, in nats.

    Example:
        >>> probe = LinearProbe(l2=1e-3).fit([[0.0], [2.0], [9.0], [11.0]], [0, 0, 1, 1])
        >>> probe.predict([[4.0], [7.0]]).tolist()
        [0, 1]
    """

    weight_: np.ndarray
    bias_: np.ndarray
    n_iter_: int
    loss_: float

    def __init__(
        self,
        *,
        l2: float = 1e-4,
        standardise: bool = True,
        max_iter: int = 300,
        tolerance: float = 1e-5,
        device: torch.device | str | None = None,
    ) -> None:
        self.l2 = _checks.not_negative(l2, "l2")
        self.standardise = standardise
        self.max_iter = _checks.at_least(max_iter, 1, "max_iter")
        self.tolerance = _checks.positive(tolerance, "tolerance")
        self.device = known_device(device)
        self._weight: Tensor | None = None

    @plain_torch()
    def fit(self, X: ArrayLike, y: ArrayLike) -> LinearProbe:
        """Fit to features X [N, D] with labels y [N], 0 to K-1.

        A scikit-learn `ConvergenceWarning` says where the largest gradient is above a tenth of
        that at the start.

        Raises:
            ValueError: bad features or labels, an absent or a single class, features that are
                too small beside the tolerance without standardisation, or a loss that has no
                value any more.
        """
        x = _checks.features(X, "X", device=self.device)
        y_ = _checks.labels(y, "y", length=len(x), device=x.device)
        counts = _checks.class_counts(y_)
        y_ = y_.clone()  # a tensor made in inference mode cannot be saved for the gradient
        if self.standardise:
            self._mean, self._deviation, l2 = *_moments(x), self.l2
        else:
            scale = self._scale(x)
            self._mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
            self._deviation, l2 = self._mean + scale, self.l2 / scale**2
        z = self._standardised(x).to(x.dtype)
        weight = torch.zeros(len(counts), x.shape[1], dtype=x.dtype, device=x.device)
        bias = torch.zeros(len(counts), dtype=x.dtype, device=x.device)
        weight.requires_grad_(True)
        bias.requires_grad_(True)
        with torch.enable_grad():
            left = self._solve(z, y_, weight, bias, l2)
        if not (np.isfinite(self.loss_) and bool(weight.isfinite().all())):
            raise ValueError(
                f"X: the loss is {self.loss_} after {self.n_iter_} iterations, with magnitudes up "
                f"to {float(x.abs().max()):g}; expected a fit that stays finite; use "
                "standardise=True, or divide X by a constant"
            )
        if left > _CONVERGED:
            _warn(left, self.n_iter_)
        self._weight, self._bias = weight.detach(), bias.detach()
        raw = self._weight.double() / self._deviation
        self.weight_ = raw.cpu().numpy()
        self.bias_ = (self._bias.double() - raw @ self._mean).cpu().numpy()
        return self

    def _scale(self, x: Tensor) -> float:
        """The power of two by which features that are not standardised are divided."""
        largest, least = float(x.abs().max()), 100 * self.tolerance
        if 0 < largest < least:  # no gradient is larger: the fit would end where it starts
            raise ValueError(
                f"X: no magnitude above {largest:g}; expected {least:g} or more, 100 times the "
                "tolerance of the gradient; use standardise=True, or multiply X by a constant"
            )
        return 2.0 ** np.frexp(largest)[1] if largest > _LARGE else 1.0

    def _solve(self, z: Tensor, y: Tensor, weight: Tensor, bias: Tensor, l2: float) -> float:
        """The largest gradient that is left at the end, as a share of that at the start; 0 where
        it is within the tolerance."""
        optimiser = torch.optim.LBFGS(
            [weight, bias],
            max_iter=self.max_iter,
            tolerance_grad=self.tolerance,
            tolerance_change=torch.finfo(z.dtype).eps / 100,
            history_size=20,
            line_search_fn="strong_wolfe",
        )
        gradients: list[float] = []

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = _penalised(z, y, weight, bias, l2)
            loss.backward()
            gradients.append(
                max(float(p.grad.abs().max()) for p in (weight, bias) if p.grad is not None)
            )
            return loss

        optimiser.step(closure)
        self.loss_ = float(closure().detach())
        self.n_iter_ = int(optimiser.state[weight]["n_iter"])
        start, end = gradients[0], gradients[-1]
        return 0.0 if end <= self.tolerance else end / start

    def _standardised(self, x: Tensor) -> Tensor:
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        for rows, to in zip(x.split(_ROWS), out.split(_ROWS), strict=True):
            to.copy_((rows.double() - self._mean) / self._deviation)
        return out

    @plain_torch()
    def _logits(self, X: ArrayLike) -> Tensor:
        if self._weight is None:
            raise ValueError("LinearProbe: not fitted; expected training features; call fit first")
        w = self._weight
        x = _checks.features(X, "X", dims=w.shape[1], device=w.device)
        logits = torch.addmm(self._bias, self._standardised(x).to(w.dtype), w.T)
        if not bool(logits.isfinite().all()):  # a row far from the training features' scale
            wide = self._standardised(x.double())
            logits = torch.addmm(self._bias.double(), wide, w.T.double())
        return logits

    @plain_torch()
    def predict(self, X: ArrayLike) -> np.ndarray | Tensor:
        """Class with the largest logit, int64 [N].

        Raises:
            ValueError: not fitted, bad features, or wrong D.
        """
        return _checks.in_kind(self._logits(X).argmax(1), X)

    @plain_torch()
    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Accuracy, a fraction in [0, 1].

        Raises:
            ValueError: as for `predict`, mismatched lengths, or labels of K or more.
        """
        y_ = _checks.labels(y, "y", like="y_train")
        predicted = self.predict(X)
        _checks.labels_below(y_, len(self.bias_))
        return _checks.accuracy(predicted, y_)


def _warn(left: float, iterations: int) -> None:
    from sklearn.exceptions import ConvergenceWarning  # slow to import

    warnings.warn(
        f"LinearProbe: the gradient is {left:.0%} of that at the start after {iterations} "
        f"iterations; expected {_CONVERGED:.0%} or less; raise max_iter or l2, or use "
        "standardise=True",
        ConvergenceWarning,
        stacklevel=4,
    )


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [D] in float64."""
    mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
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
