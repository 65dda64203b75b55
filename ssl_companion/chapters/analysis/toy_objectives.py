"""The toy world over several seeds: where each set of terms ends, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from ssl_companion.chapters.analysis.accuracies import over_seeds
from ssl_companion.measures import Interval
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.toy import ToyConfig, cloud_state, train_toy


def endings(
    variants: Mapping[str, ObjectiveConfig],
    seeds: Sequence[int],
    config: ToyConfig | None = None,
    steps: int = 100,
) -> pd.DataFrame:
    """The state of the cloud after training, run by run.

    Args:
        variants: name -> objective.
        seeds: of weights and views; those of `config` are replaced.
        config: the world.
        steps: of training.

    Returns:
        variant, seed, measure, value; the measures of `cloud_state`, and "kept": the spread as
        a multiple of what it was before training.
    """
    rows = []
    for variant, objective in variants.items():
        for seed in seeds:
            run = train_toy(objective, replace(config or ToyConfig(), seed=seed), (0, steps))
            first, last = (cloud_state(cloud) for cloud in run.embeddings)
            last["kept"] = last["spread"] / first["spread"]
            rows += [
                {"variant": variant, "seed": seed, "measure": name, "value": value}
                for name, value in last.items()
            ]
    return pd.DataFrame(rows)


def ending(table: pd.DataFrame, variant: str, measure: str) -> Interval:
    """Mean over the seeds of a table of `endings`, with Student's 95% interval.

    Raises:
        ValueError: fewer than two seeds of that variant and measure.
    """
    rows = table[(table["variant"] == variant) & (table["measure"] == measure)]
    return over_seeds(rows["value"].tolist())
