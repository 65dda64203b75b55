"""How the runs that a claim over many runs is judged by came to be chosen, and what they change."""

from __future__ import annotations

from typing import Literal

from ssl_companion._runs import Scale
from ssl_companion._whys import why_so_long
from ssl_companion.experiments import PRESET_NAMES, preset
from ssl_companion.findings.differences import differing
from ssl_companion.findings.elsewhere import setting_of
from ssl_companion.findings.generality import FAMILIES, without_seed
from ssl_companion.findings.live import Runs
from ssl_companion.recordings import Recording

_FACTORS = ("invariance", "regularizer", "variance", "covariance")
_SCALES: tuple[Scale, ...] = ("reduced", "full")


def changed(run: Recording, reference: Recording) -> tuple[str, ...]:
    """The settings, in words, in which a run differs from another; the seed is none."""
    found = differing({"run": run, "reference": reference}).index
    short = [str(name).partition(" (")[0].rpartition(", ")[2] for name in found]
    return tuple(name for name in short if name != "seed")


def scale_of(run: Recording) -> Scale | Literal[""]:
    """The scale at which a preset has this very configuration by this name; "" for neither."""
    family, data = run.name.partition("-")[0], run.run["config"].get("data", "")
    if family not in PRESET_NAMES or not data:
        return ""
    for scale in _SCALES:
        made = [one.on(data) for one in preset(family, scale).runs if one.name == run.name]
        if any(one.config.digest() == run.run["digest"] for one in made):
            return scale
    return ""


def lengths(runs: Runs) -> dict[str, list[str]]:
    """How long the comparisons are and how that was chosen -> the runs of which it is true.

    Args:
        runs: by name; those of the preset clustering, which is no comparison, are left out.
    """
    found: dict[str, list[str]] = {}
    for name, run in runs.items():
        scale, family = scale_of(run), name.partition("-")[0]
        if family != "clustering":
            text = why_so_long(family, scale) if scale else "Not a length of the presets."
            found.setdefault(text, []).append(name)
    return found


def unrecorded(runs: Runs, scale: Scale) -> dict[str, str]:
    """The settings that count and are not recorded: name without the seed -> in words.

    Args:
        runs: all recordings by name.
        scale: of the presets whose words are taken; both scales have the same names.
    """
    known = {without_seed(name) for name in runs}
    planned = [run for family in FAMILIES for run in preset(family, scale).runs]
    return {
        without_seed(run.name): run.variant
        for run in planned
        if run.config.objective.name != "supervised" and without_seed(run.name) not in known
    }


def why_aside(run: Recording, counted: Runs) -> str:
    """Why a run is not among the counted ones.

    Args:
        run: one that does not count.
        counted: of `generality.intact_runs`.
    """
    config = run.run["config"]
    objective = config["objective"]
    if objective["name"] == "supervised":
        return "saw labels"
    factors = any(objective.get(name, 1) != 1 for name in _FACTORS)
    paired = objective.get("positives", "own") == "own"
    if factors or not paired or objective["on_from"] > 0 or objective["on_until"] >= 0:
        return "objective not whole"
    if twins := [name for name, other in counted.items() if not changed(run, other)]:
        return f"seed {config['seed']} of {twins[0]}, which counts"
    short = all(config["epochs"] < other.run["config"]["epochs"] for other in counted.values())
    reason = f"{setting_of(run)} at {config['epochs']} epochs, the reference of another page"
    return f"{reason}, too short for these rules" if short else reason


def sizes_in_words(runs: Runs) -> str:
    """How large the runs are that verdicts rest on, in a few sentences."""
    reduced = sum(scale_of(run) == "reduced" for run in runs.values())
    full = sum(scale_of(run) == "full" for run in runs.values())
    if not runs:
        return "There are no recordings, so there are no verdicts."
    longest = max(runs.values(), key=lambda run: (run.epochs[-1], run.name))
    said = (
        f"These verdicts rest on {len(runs)} recording{'s' * (len(runs) != 1)}, {full} of the "
        f"size meant for an accelerator and {reduced} of a reduced one. The longest is "
        f"*{longest.title}*."
    )
    if reduced:
        said += (
            " Reduced runs show directions and orders, not how far the recipe can go; a full one "
            "takes the place of a reduced one under its name, and its verdict may differ."
        )
    return said
