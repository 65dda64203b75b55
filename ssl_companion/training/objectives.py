"""Self-supervised objectives, each split into its invariance and its regularization.

Every objective takes the embeddings of two views and returns a `Loss`: the raw terms by name, and
their weighted sum. The invariance part (`INVARIANCE_TERMS`) pulls the views of an image together;
everything else is the regularizer that keeps the embeddings apart.

Embeddings are float tensors [N, D]; half precision is widened to float32 first, because a
Gram diagonal overflows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
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
    """

    total: Tensor
    terms: dict[str, Tensor]


def invariance_term(z1: Tensor, z2: Tensor) -> Tensor:
    """Mean squared difference of the two views, over samples and dimensions."""
    return F.mse_loss(z1, z2)


def variance_term(z: Tensor, eps: float = 1e-4) -> Tensor:
    """Mean over dimensions of max(0, 1 - sqrt(var + eps)), with the unbiased variance.

    `eps` stands inside the root: at a collapsed dimension the root of 0 has no gradient.
    """
    return F.relu(1.0 - torch.sqrt(z.var(dim=0) + eps)).mean()


def covariance_term(z: Tensor) -> Tensor:
    """Sum of the squared off-diagonal covariances divided by the dimension D.

    With more dimensions than samples it is computed from the Gram matrix [N, N], whose squares
    have the sum of the covariance matrix's: N / D of the work, and no matrix [D, D].
    """
    n, d = z.shape
    centred = z - z.mean(dim=0)
    if d > n:
        whole = (centred @ centred.T).square().sum()
        diagonal = centred.square().sum(dim=0).square().sum()
        # Where a few dimensions hold all of the variance, the difference cancels: what is left is
        # rounding then, and not below 0. An overflow is reported as what it is.
        rest = torch.where(whole.isinf(), whole, (whole - diagonal).clamp(min=0))
        return rest / ((n - 1) ** 2 * d)
    covariance = centred.T @ centred / (n - 1)
    # The whole sum less the diagonal's would cancel; masking the diagonal does not.
    off_diagonal = covariance - torch.diag_embed(torch.diagonal(covariance))
    return off_diagonal.square().sum() / d


def vicreg(
    z1: Tensor,
    z2: Tensor,
    *,
    invariance: Weight = 25.0,
    variance: Weight = 25.0,
    covariance: Weight = 1.0,
    eps: float = 1e-4,
) -> Loss:
    """Variance-invariance-covariance regularization (Bardes, Ponce, LeCun, arXiv:2105.04906).

    total = invariance * s + variance * (v(z1) + v(z2)) / 2 + covariance * (c(z1) + c(z2))

    Args:
        z1, z2: embeddings of the two views, [N, D].
        invariance, variance, covariance: weights of the terms.
        eps: added to the variance inside the root.

    Returns:
        `Loss` with the terms "invariance", "variance" (halved over the views, as in the
        authors' code) and "covariance" (summed over the views).

    Raises:
        ValueError: shapes that differ, fewer than two samples, or all weights 0.
    """
    z1, z2 = _matching_pair(z1, z2)
    terms = {
        "invariance": invariance_term(z1, z2),
        "variance": (variance_term(z1, eps) + variance_term(z2, eps)) / 2,
        "covariance": covariance_term(z1) + covariance_term(z2),
    }
    weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
    return _loss(terms, weights)


def simclr(
    z1: Tensor,
    z2: Tensor,
    *,
    temperature: float = 0.2,
    alignment: Weight = 1.0,
    uniformity: Weight = 1.0,
) -> Loss:
    """NT-Xent (Chen et al., arXiv:2002.05709), split after Wang and Isola (arXiv:2005.10242).

    For the unit vectors u of all 2N views, with p(i) the other view of the same image:
    alignment = mean_i of -<u_i, u_p(i)> / temperature, and
    uniformity = mean_i of log sum over j != i of exp(<u_i, u_j> / temperature).
    With both weights 1 their sum is NT-Xent.

    Args:
        z1, z2: embeddings of the two views, [N, D]; normalised here.
        temperature: positive; the logits are cosines divided by it.
        alignment, uniformity: weights of the terms.

    Raises:
        ValueError: shapes that differ, fewer than two samples, a temperature that is not
            positive, or all weights 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature!r}; expected a positive number")
    z1, z2 = _matching_pair(z1, z2)
    n = len(z1)
    u = F.normalize(torch.cat([z1, z2]), dim=1)
    logits = u @ u.T / temperature
    positives = (u[:n] * u[n:]).sum(dim=1) / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=u.device)
    terms = {
        "alignment": -positives.mean(),
        "uniformity": torch.logsumexp(logits.masked_fill(itself, -torch.inf), dim=1).mean(),
    }
    return _loss(terms, {"alignment": alignment, "uniformity": uniformity})


def barlow_twins(
    z1: Tensor,
    z2: Tensor,
    *,
    invariance: Weight = 1.0,
    redundancy: Weight = 5e-3,
    eps: float = 1e-5,
) -> Loss:
    """Barlow Twins (Zbontar et al., arXiv:2103.03230).

    C is the cross-correlation of the two views, each dimension standardised over the batch
    (biased variance): invariance = sum_i (1 - C_ii)^2, redundancy = sum_{i != j} C_ij^2.

    Args:
        z1, z2: embeddings of the two views, [N, D].
        invariance, redundancy: weights of the terms.
        eps: added to the variance before the root, as batch normalisation does.
    """
    z1, z2 = _matching_pair(z1, z2)
    n = len(z1)
    u1 = F.batch_norm(z1, None, None, training=True, eps=eps)
    u2 = F.batch_norm(z2, None, None, training=True, eps=eps)
    correlation = u1.T @ u2 / n
    diagonal = torch.diagonal(correlation)
    terms = {
        "invariance": (1.0 - diagonal).square().sum(),
        "redundancy": (correlation - torch.diag_embed(diagonal)).square().sum(),
    }
    return _loss(terms, {"invariance": invariance, "redundancy": redundancy})


def byol(prediction1: Tensor, prediction2: Tensor, target1: Tensor, target2: Tensor) -> Loss:
    """Bootstrap your own latent (Grill et al., arXiv:2006.07733): the symmetrised loss.

    The mean squared distance of the unit vectors of each view's prediction and the teacher's
    embedding of the *other* view, summed over the two directions. There is no regularization
    term: the momentum teacher and the predictor keep the embeddings apart implicitly.

    Args:
        prediction1, prediction2: the student's predictions for the views, [N, D].
        target1, target2: the teacher's embeddings of the same views, [N, D]; no gradient.
    """
    terms = {"invariance": _cosine_distance(prediction1, target2)
             + _cosine_distance(prediction2, target1)}  # fmt: skip
    return _loss(terms, {"invariance": 1.0})


def _cosine_distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of |u - v|^2 = 2 - 2 cos over the rows' unit vectors."""
    prediction, target = _matching_pair(prediction, target)
    return (2 - 2 * F.cosine_similarity(prediction, target.detach(), dim=1)).mean()


def supervised(logits: Tensor, labels: Tensor) -> Loss:
    """Cross-entropy on class labels: the control that sees the answers.

    Args:
        logits: [N, K] floats.
        labels: [N] integers in 0..K-1.

    Raises:
        ValueError: shapes or types that do not fit, or (looked for on the CPU only, where
            looking does not stall a device) a label out of range.
    """
    if logits.ndim != 2 or not logits.is_floating_point() or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"logits, labels: shapes {tuple(logits.shape)} and {tuple(labels.shape)}, types "
            f"{logits.dtype} and {labels.dtype}; expected floats [N, K] and integers [N]"
        )
    k = logits.shape[1]
    if labels.device.type == "cpu" and bool(((labels < 0) | (labels >= k)).any()):
        raise ValueError(
            f"labels: from {int(labels.min())} to {int(labels.max())}; expected 0 to {k - 1}"
        )
    terms = {"cross_entropy": F.cross_entropy(widened(logits), labels.long())}
    return _loss(terms, {"cross_entropy": 1.0})


def _loss(terms: dict[str, Tensor], weights: Mapping[str, Weight]) -> Loss:
    """The `Loss` of some raw terms and their weights.

    Raises:
        ValueError: all weights are 0.
    """
    # A term of weight 0 is left out of the graph: 0 * inf would be NaN, and its backward pass
    # is work for nothing. It is still reported. A tensor is never looked at: that would wait.
    active = [
        weight * terms[name]
        for name, weight in weights.items()
        if isinstance(weight, Tensor) or weight != 0
    ]
    if not active:
        raise ValueError(f"weights: 0 for each of {', '.join(weights)}; expected one above 0")
    return Loss(torch.stack(active).sum(), terms)


def widened(x: Tensor) -> Tensor:
    """Half precision to float32; float32 and float64 as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _matching_pair(z1: Tensor, z2: Tensor) -> tuple[Tensor, Tensor]:
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
        raise ValueError(f"z1: {len(z1)} sample; expected 2 or more, as the terms compare samples")
    return widened(z1), widened(z2)
