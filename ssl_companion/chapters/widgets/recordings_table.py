"""What is recorded, at which of the two scales, and the commands that make it again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from ssl_companion.presets.catalogue import PRESET_NAMES, preset, scale_of
from ssl_companion.presets.runs import Scale, describe_config
from ssl_companion.recordings import Recording
from ssl_companion.recordings.wording import title_parts

BY_HAND = "from elsewhere"


def inventory(recordings: Iterable[Recording]) -> pd.DataFrame:
    """Every recording, one row each, all of it read from its files.

    Returns:
        recording, what, scale, images (to train on), epochs (the last), measured (how many),
        keeps, device, precision (that the network was computed in), minutes, finished, commit (with
        a "+" if there were uncommitted changes), kB.
    """
    rows = []
    for recording in recordings:
        run = recording.run
        commit = (run["git"]["commit"] or "elsewhere")[:10]
        rows.append({
            "recording": recording.name,
            "what": recording.title,
            "scale": scale_of(recording) or BY_HAND,
            "images": f"{run['data']['title']}, {run['data']['train_images']:,}",
            "epochs": recording.epochs[-1],
            "measured": len(recording.epochs),
            "keeps": _kept(recording),
            "device": recording.device,
            "precision": run.get("computed") or run["config"].get("precision", ""),
            "minutes": round(run["wall_seconds"] / 60, 1),
            "finished": str(run["end"] or "")[:16].replace("T", " "),
            "commit": commit if run["git"]["clean"] or "source" in run else f"{commit}+",
            "kB": round(sum(file.stat().st_size for file in recording.path.iterdir()) / 1000),
        })  # fmt: skip
    return pd.DataFrame(rows)


def by_setting(recordings: Sequence[Recording]) -> pd.DataFrame:
    """Recordings in short: by preset, a row for those that differ in their seed alone.

    Returns:
        preset (with the settings that all of it share), recording (its name without the seed),
        setting (what else its title says), seeds, keeps, minutes (of all seeds together), commit.
    """
    table = inventory(recordings)
    presets = [recording.name.partition("-")[0] for recording in recordings]
    heads, own = [], []
    for name, recording in zip(presets, recordings, strict=True):
        alike = [_parts(r) for r, other in zip(recordings, presets, strict=True) if other == name]
        shared = [part for part in alike[0] if all(part in parts for parts in alike)]
        heads.append(": ".join(filter(None, (name, ", ".join(shared)))))
        left = [part for part in _parts(recording) if part not in shared]
        said = [part for part in left if part not in recording.variant]
        more = any(recording.variant in part for part in left)  # "ResNet-18 of width 16"
        own.append(", ".join(said if more and said else [*said, recording.variant]))
    table = table.assign(preset=heads, own=own)
    match = table["recording"].str.extract(r"^(?P<name>.*?)(?:-s(?P<seed>\d+))?$")
    table["recording"], table["seeds"] = match["name"], match["seed"].fillna("")
    rows = ["preset", "recording", "own", "keeps"]
    short = table.groupby(rows, sort=False).agg(
        seeds=("seeds", ", ".join),
        minutes=("minutes", _minutes),
        commit=("commit", lambda c: ", ".join(dict.fromkeys(c))),
    )
    named = short.reset_index().rename(columns={"own": "setting"})
    columns = ["preset", "recording", "setting", "seeds", "keeps", "minutes", "commit"]
    return named[columns].sort_values("preset", kind="stable", ignore_index=True)


def _parts(recording: Recording) -> list[str]:
    """The settings that a title names, but for the seed."""
    parts = title_parts(recording.title)[0].split(", ")
    return [part for part in parts if not part.startswith("seed ")]


def _minutes(values: pd.Series[float]) -> str:
    total = values.sum()
    return f"{total:.0f}" if total >= 10 else f"{total:.1f}"


def _kept(recording: Recording) -> str:
    """In words: which features and what else."""
    parts = []
    if recording.has_features and recording.kept_epochs():
        layers = sum(bool(recording.kept_epochs(layer)) for layer in recording.layers)
        parts.append(f"features of {layers} layer{'s' if layers > 1 else ''}")
    if recording.has_groupings:
        parts.append("counts")
    if recording.target_epochs():
        parts.append("targets")
    if recording.weights_path is not None:
        parts.append("weights")
    return ", ".join(parts) or "measures"


def both_scales() -> pd.DataFrame:
    """Every run of every preset at both scales: preset, recording (without the seed), seeds,
    full, reduced."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name in PRESET_NAMES:
        full = {run.name: run for run in preset(name, "full").runs}
        reduced = {run.name: run for run in preset(name, "reduced").runs}
        for key in dict.fromkeys((*full, *reduced)):
            cells = [
                describe_config(runs[key].config) if key in runs else "-"
                for runs in (full, reduced)
            ]
            seedless = [re.sub(r", seed \d+$", "", cell) for cell in cells]
            run, _, seed = key.rpartition("-s")
            rows.setdefault((name, run, *seedless), []).append(seed)
    return pd.DataFrame(
        {"preset": name, "recording": run, "seeds": ", ".join(seeds), "full": full,
         "reduced": reduced}
        for (name, run, full, reduced), seeds in rows.items()
    )  # fmt: skip


def commands(scale: Scale = "full", minutes: float = 9) -> pd.DataFrame:
    """The command of every run, in the order to record them: preset, recording, command.

    Args:
        scale: "full" or "reduced".
        minutes: after which each stops cleanly; the same command then goes on.
    """
    rows = []
    for name in PRESET_NAMES:
        for run in preset(name, scale).runs:
            words = f"ssl-companion record {name} --scale {scale} --only {run.name}"
            rows.append({"preset": name, "recording": run.name,
                         "command": f"{words} --minutes {minutes:g}"})  # fmt: skip
    return pd.DataFrame(rows)


def until_done(command: str) -> str:
    """A line for bash that repeats a resumable command for as long as it stops on time."""
    return f"while {command} | grep 'stopped after'; do :; done"
