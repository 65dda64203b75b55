"""The figures of classifiers: accuracy against accuracy, and with few labels."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from ssl_companion.figures_pairs import Cloud, Panel, scatters, side_by_side
from ssl_companion.findings.classifiers import NAMES, long_form


def against_probes(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """NCC against probe accuracy, a panel a table.

    Args:
        tables: columns ncc, linear, knn, by what their rows are ("epochs", "layers", "runs").
    """
    clouds = [
        Cloud(long_form(table), f"{len(table)} {over}", "ncc", "accuracy", "classifier")
        for over, table in tables.items()
    ]
    return scatters(
        clouds, x_label="NCC accuracy", y_label="probe accuracy", order=list(NAMES.values())
    )


def few_labels(table: pd.DataFrame, labels: int) -> Figure:
    """Accuracy with so many labels a class over epochs, and over labels at the last epoch.

    Args:
        table: of `downstream.few_labels`.
        labels: images of each class that have one.
    """
    last, limits = table["epoch"].max(), (0.0, 1.05 * float(table["high"].max()))
    left = Panel(
        table[table["labels"] == labels], "epoch", "classifier", "epoch", "test accuracy",
        title=f"{labels} label{'s' * (labels > 1)} a class", scale="epochs", limits=limits,
    )  # fmt: skip
    right = Panel(
        table[table["epoch"] == last], "labels", "classifier", "labels a class", "test accuracy",
        title=f"epoch {last}", scale="log", mark=labels, limits=limits,
    )  # fmt: skip
    return side_by_side([left, right])
