"""In which settings two recordings differ: what a comparison of the two is a comparison of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ssl_companion.presets.runs import OBJECTIVE_TITLES, OPTIMIZER_TITLES, backbone_title
from ssl_companion.recordings import Recording

# The settings that the book's comparisons are about; any other keeps its name in the file.
_WORDS = {
    "backbone": "network",
    "objective.name": "objective",
    "objective.invariance": "factor on the invariance",
    "objective.regularizer": "factor on the regularizer",
    "objective.variance": "factor on the variance term",
    "objective.covariance": "factor on the covariance term",
    "objective.positives": "second views",
    "objective.labels": "labels",
    "held_out": "classes held out",
    "optim.name": "optimizer",
    "optim.lr": "learning rate",
    "optim.weight_decay": "weight decay",
    "optim.warmup_epochs": "epochs of warm-up",
    "projector_width": "width of the projector",
    "data": "data set",
    "images_per_class": "training images per class (0: all)",
    "batch": "batch size",
}
_VALUES: dict[str, dict[str, str]] = {
    "objective.name": OBJECTIVE_TITLES,
    "optim.name": OPTIMIZER_TITLES,
    "objective.labels": {"by lot": "random"},
}


def differing(runs: Mapping[str, Recording]) -> pd.DataFrame:
    """The settings of training in which runs differ; all others are the same in each.

    Args:
        runs: two or more, by the names of the columns.

    Returns:
        A row for each setting that differs (index "setting", in words), a column for each run,
        with the values as text; "-" where a run has no such setting. Empty for runs that were
        trained alike.
    """
    flat = {name: dict(_flat(run.run["config"])) for name, run in runs.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    rows = {
        _WORDS.get(key, key.replace(".", ", ").replace("_", " ")): {
            name: _text(key, settings[key]) if key in settings else "-"
            for name, settings in flat.items()
        }
        for key in keys
        if any(key not in s or s[key] != next(iter(flat.values())).get(key) for s in flat.values())
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(flat)).rename_axis("setting")


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _text(key: str, value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return backbone_title(text) if key == "backbone" else _VALUES.get(key, {}).get(text, text)
