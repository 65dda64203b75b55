"""What an objective returns, and what all of them check and share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

#: Terms that compare the views of one image. All other terms regularize.
INVARIANCE_TERMS = frozenset({"invariance", "alignment", "cross_entropy"})


#: Of a term. A tensor (a scalar on the device) may change from call to call of what was compiled
#: or captured with it; a number is part of that.
Weight = float | Tensor


@dataclass(frozen=True)
class Loss:
    """An objective's value on one batch.

    Attributes:
        total: weighted sum of the terms, a scalar tensor with gradient.
        terms: raw (unweighted) terms by name, scalar tensors.
        weights: the weight of each term in `total`.
    """

    total: Tensor
    terms: dict[str, Tensor]
    weights: Mapping[str, Weight]

    @property
    def invariance(self) -> Tensor:
        """Weighted sum of the terms that compare views (see `INVARIANCE_TERMS`)."""
        return self._sum(keep_invariance=True)

    @property
    def regularization(self) -> Tensor:
        """Weighted sum of all other terms; 0 for an objective without any (BYOL)."""
        return self._sum(keep_invariance=False)

    def _sum(self, keep_invariance: bool) -> Tensor:
        parts = [
            self.weights[name] * term
            for name, term in self.terms.items()
            if (name in INVARIANCE_TERMS) == keep_invariance and counts(self.weights[name])
        ]
        return torch.stack(parts).sum() if parts else torch.zeros_like(self.total)


def counts(weight: Weight) -> bool:
    """Whether a term of this weight is in the total. A tensor always is: nothing waits for it."""
    return isinstance(weight, Tensor) or weight != 0


def weighted(terms: dict[str, Tensor], weights: Mapping[str, Weight]) -> Loss:
    """The `Loss` of some raw terms and their weights.

    Raises:
        ValueError: all weights are 0.
    """
    # A term of weight 0 is left out of the graph: 0 * inf would be NaN, and its backward pass
    # is work for nothing. It is still reported.
    active = [weights[name] * term for name, term in terms.items() if counts(weights[name])]
    if not active:
        raise ValueError(
            f"weights: all of {sorted(weights)} are 0; at least one has to be positive"
        )
    return Loss(torch.stack(active).sum(), terms, weights)


def widened(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def matching_pair(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
    """Two matching embeddings in at least float32.

    Raises:
        ValueError: they are not float tensors [N, D] of one shape with N of at least 2.
    """
    for name, z in (("z1", z1), ("z2", z2)):
        if z.ndim != 2 or not z.is_floating_point():
            raise ValueError(
                f"{name}: shape {tuple(z.shape)} and type {z.dtype}; "
                "expected a float tensor [N samples, D dimensions]"
            )
    if z1.shape != z2.shape:
        raise ValueError(
            f"z1, z2: shapes {tuple(z1.shape)} and {tuple(z2.shape)}; expected the same"
        )
    if len(z1) < 2:
        raise ValueError(f"z1: {len(z1)} sample; expected at least 2, the terms compare samples")
    return widened(z1), widened(z2)
