"""Along the depth: accuracies of every layer with intervals, live or of all images."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ssl_companion.findings.clustering import ncc_over_epochs
from ssl_companion.findings.depth_time import by_layer_and_epoch, order_of_rows
from ssl_companion.findings.live import CONFIDENCE
from ssl_companion.findings.targets import RANDOM_IMAGE
from ssl_companion.recordings import Recording, RecordingError

ORDERS = {
    "time": "epoch",
    "depth": "depth",
    "depth before training": "depth before training",
}


def shared_epochs(recording: Recording) -> tuple[int, ...]:
    """Epochs with features of every layer.

    Raises:
        RecordingError: there is none.
    """
    kept = [set(recording.kept_epochs(layer)) for layer in recording.layers]
    found = tuple(sorted(set.intersection(*kept)))
    if not found:
        raise RecordingError(f"{recording.path}: keeps no epoch with features of every layer")
    return found


def live_by_layer(
    recording: Recording,
    levels: Sequence[str] | None = None,
    epochs: Sequence[int] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """NCC accuracy of every layer, searched now, with intervals over images.

    Args:
        recording: with features of every layer.
        levels: by default the hierarchy's.
        epochs: by default the first and the last with features of every layer.
        seed: of random groupings among the levels, and of the bootstrap.

    Returns:
        epoch, layer, depth (0 for the first layer), level, value, low, high, n.
    """
    if epochs is None:
        shared = shared_epochs(recording)
        epochs = (shared[0], shared[-1])
    parts = []
    for depth, layer in enumerate(recording.layers):
        part = ncc_over_epochs(recording, levels, layer, epochs=epochs, seed=seed)
        parts.append(part.assign(depth=depth))
    columns = ["epoch", "layer", "depth", "level", "value", "low", "high", "n"]
    return pd.concat(parts, ignore_index=True)[columns]


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of n images each with Wilson's interval (1927,
    doi:10.1080/01621459.1927.10502953): columns low and high.

    Args:
        table: columns value (a fraction) and n.
    """
    from scipy import stats

    ends = [
        stats.binomtest(round(value * n), int(n)).proportion_ci(CONFIDENCE, method="wilson")
        for value, n in zip(table["value"], table["n"], strict=True)
    ]
    return table.assign(low=[e.low for e in ends], high=[e.high for e in ends])


def mapped_levels(recording: Recording) -> tuple[str, ...]:
    """What has an accuracy at every layer and every epoch: the single images, the hierarchy's
    levels, and two controls, groups of random classes and random labels."""
    first = recording.hierarchy.names[1]
    names = ("sample", *recording.hierarchy.names, f"random-{first}", RANDOM_IMAGE)
    everything = len(recording.layers) * len(recording.epochs)
    table = by_layer_and_epoch(recording, names)
    counts = table.groupby("level").size()
    return tuple(name for name in names if counts.get(name, 0) == everything)


def orders(runs: dict[str, Recording], levels: Sequence[str] | None = None) -> pd.DataFrame:
    """The order along epochs and along depth of several runs, averaged over levels.

    Args:
        runs: by the words that name them.
        levels: by default the hierarchy's.

    Returns:
        run, and a column for each of `ORDERS`: Spearman's correlation; NaN where a level does
        not change.
    """
    rows = []
    for words, run in runs.items():
        row: dict[str, object] = {"run": words}
        for name, along in ORDERS.items():
            row[name] = float(order_of_rows(run, along, levels)["value"].mean(skipna=False))
        rows.append(row)
    return pd.DataFrame(rows)


def beside(runs: dict[str, Recording], levels: Sequence[str], split: str = "test") -> pd.DataFrame:
    """Accuracy of all images by layer and epoch for several runs, with Wilson's intervals.

    Args:
        runs: by the words that name them; epochs that not all have measured are left out.
        levels: names.
        split: "test" or "train".

    Returns:
        run, epoch, layer, depth, share (0 for the first layer, 1 for the last), level, value,
        low, high, n.
    """
    common = set.intersection(*(set(run.epochs) for run in runs.values()))
    parts = []
    for words, run in runs.items():
        table = with_intervals(by_layer_and_epoch(run, levels, split=split))
        table = table[table["epoch"].isin(common)].assign(run=words)
        parts.append(table.assign(share=table["depth"] / max(1, len(run.layers) - 1)))
    columns = ["run", "epoch", "layer", "depth", "share", "level", "value", "low", "high", "n"]
    return pd.concat(parts, ignore_index=True)[columns]
