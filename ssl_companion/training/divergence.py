"""Whether a run still makes sense: its terms and its weights are finite numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn


class DivergedError(RuntimeError):
    """The loss turned NaN or infinite; the message names the step, the epoch and the term."""


_MEND = "The last checkpoint is good."


def check_terms(
    rows: Tensor,
    names: Sequence[str],
    first: int,
    steps_per_epoch: int,
    lr: float,
    unweighted: Collection[str] = (),
) -> None:
    """Refuse terms that are not finite, if anything depends on them.

    Args:
        rows: [S, T] values of T terms in S steps; the first column is their total.
        names: of the T terms.
        first: number of the first of these steps.
        steps_per_epoch: to say which epoch it was.
        lr: peak learning rate, for the advice.
        unweighted: names of the terms of weight 0. They are only reported, and what nothing
            holds in check may well overflow.

    Raises:
        DivergedError: one is NaN or infinite; names the first such step, and a term rather
            than the total that it spoils.
    """
    counted = torch.tensor([name not in unweighted for name in names], device=rows.device)
    bad = ~torch.isfinite(rows) & counted
    if not bad.any():
        return
    row = int(bad.any(dim=1).nonzero()[0])
    column = int(bad[row].nonzero().flatten()[-1])
    step = first + row
    raise DivergedError(
        f"step {step} (epoch {step // steps_per_epoch}): the term {names[column]!r} is "
        f"{rows[row, column].item()}; try a lower lr (now {lr}) or precision='fp32'. {_MEND}"
    )


def check_weights(module: nn.Module, step: int, lr: float) -> None:
    """Refuse weights that are not finite: the loss would say so only a step later.

    Args:
        module: what is trained.
        step: number of the step that made the weights what they are.
        lr: peak learning rate, for the advice.

    Raises:
        DivergedError: one is NaN or infinite; names the step and the parameter.
    """
    values = dict(module.named_parameters())
    # A sum of magnitudes is finite if and only if all of them are, or it overflows, which
    # the look at each of them then clears.
    sizes = torch.stack(torch._foreach_norm([p.detach() for p in values.values()], 1))
    if bool(torch.isfinite(sizes).all()):
        return
    for name, value in values.items():
        if not bool(torch.isfinite(value).all()):
            raise DivergedError(
                f"step {step}: the weights {name!r} are not finite after it; try a lower lr "
                f"(now {lr}) or precision='fp32'. {_MEND}"
            )
