"""The figures of the interventions: terms beside accuracy, and spectra beside responses."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from ssl_companion.figures_pairs import Panel, intervals, side_by_side

_SHARES = (1e-5, 1.5)  # the vertical axis of all spectra, so that they compare


def terms_and_accuracy(course: pd.DataFrame, ncc: pd.DataFrame, level: str) -> Figure:
    """The terms' course (epoch, term, value) beside NCC accuracy (epoch, level, value)."""
    left = Panel(
        course, "epoch", "term", "epoch", "weighted term − first epoch",
        scale="epochs", percent=False, reference=0.0,
    )  # fmt: skip
    right = Panel(
        ncc, "epoch", "level", "epoch", f"NCC accuracy, {level}", scale="epochs", legend=False
    )
    return side_by_side([left, right])


def outcomes(live: pd.DataFrame, measured: pd.DataFrame) -> Figure:
    """`interventions.live_outcomes` with intervals, and every seed of `regularizer.outcome`."""
    same = measured[measured["variant"].isin(live["variant"])]
    return intervals(
        live.assign(name=live["words"]),
        seeds=same.assign(name=same["words"], value=same["ncc"]),
        reference=float(live["start"].iloc[0]),
        x_label="NCC accuracy at the end of training",
    )


def spectrum_and_doses(spectra: pd.DataFrame, response: pd.DataFrame, dose: float) -> Figure:
    """One dose's spectrum among all, and its place on the curve of responses.

    Args:
        spectra: line (a dose, written ":g"), direction, value.
        response: dose, value, low, high, start.
        dose: the one in colour.
    """
    left = Panel(
        spectra, "direction", "line", "principal direction", "share of variance",
        title=f"weight × {dose:g}", scale="log", log_values=True, strong=f"{dose:g}",
        points=False, legend=False, limits=_SHARES,
    )  # fmt: skip
    right = Panel(
        response.assign(line="NCC"), "dose", "line", "factor on the regularizer", "NCC accuracy",
        title="at the end", scale="doses", mark=dose, legend=False,
        reference=float(response["start"].iloc[0]),
    )  # fmt: skip
    return side_by_side([left, right], height=3.8)


def spectra_and_courses(
    spectra: pd.DataFrame, courses: pd.DataFrame, epoch: int, switch: float
) -> Figure:
    """Spectra of several runs at an epoch, and the epoch on their courses.

    Args:
        spectra: line (the run), direction, value.
        courses: line, epoch, value, low, high.
        epoch: the one of the spectra.
        switch: epoch after which something was switched.
    """
    left = Panel(
        spectra, "direction", "line", "principal direction", "share of variance",
        title=f"epoch {epoch}", scale="log", log_values=True, points=False, legend=False,
        limits=_SHARES,
    )  # fmt: skip
    right = Panel(
        courses, "epoch", "line", "epoch", "NCC accuracy", scale="epochs", mark=epoch,
        switch=switch,
    )  # fmt: skip
    return side_by_side([left, right], height=4.6)
