"""The inventory says what the files say, and its commands are commands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_companion import cli
from ssl_companion.chapters.widgets.recordings_table import (
    both_scales,
    by_setting,
    commands,
    inventory,
    until_done,
)
from ssl_companion.cli.record import Record
from ssl_companion.presets.catalogue import PRESET_NAMES, preset, scale_of
from ssl_companion.recordings import Recording, list_recordings, open_recording


@pytest.fixture(scope="module")
def recorded(
    write_synthetic: Callable[..., Recording], tmp_path_factory: pytest.TempPathFactory
) -> Recording:
    root = tmp_path_factory.mktemp("inventory")
    run = write_synthetic("regularizer-recipe-s0", root, epochs=(0, 1))
    described = run.run | {
        "digest": preset("regularizer", "reduced").runs[0].config.digest(),
        "git": {"commit": "0123456789abcdef", "clean": False},
        "device": "a device", "wall_seconds": 90, "end": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    (run.path / "run.json").write_text(json.dumps(described))
    return open_recording(run.path)


def test_a_scale_follows_from_the_configuration_and_not_from_the_name(recorded: Recording) -> None:
    assert scale_of(recorded) == "reduced"
    other = open_recording(recorded.path)
    other.run["digest"] = "another"
    assert scale_of(other) is None


def test_a_row_says_what_run_json_says(recorded: Recording) -> None:
    row = inventory([recorded]).iloc[0]
    assert row["commit"] == "0123456789+"
    assert row["minutes"] == 1.5
    assert row["finished"] == "2026-01-02 03:04"
    assert row["epochs"] == recorded.epochs[-1]
    assert row["keeps"] == "features of 3 layers"


def test_seeds_stand_in_one_row_and_what_a_preset_shares_in_its_head() -> None:
    recordings = list_recordings()
    table = by_setting(recordings)
    seeds = table["seeds"].str.split(", ")
    assert seeds.map(len).sum() == len(recordings)
    names = table.assign(seed=seeds).explode("seed")
    assert set(names["recording"] + "-s" + names["seed"]) == {run.name for run in recordings}
    said = (table["preset"] + ", " + table["setting"]).str.lower()
    for run in recordings:
        [row] = names.index[(names["recording"] + "-s" + names["seed"]) == run.name]
        for part in re.sub(r", seed \d+", "", run.title).replace("; ", ", ").split(", "):
            assert part.lower() in said[row], (run.name, part)
    assert (table.groupby("preset").size() > 1).any()


def test_both_scales_have_the_same_names() -> None:
    table = both_scales()
    assert len(table) == len(set(table["recording"]))
    table = table.assign(seeds=table["seeds"].str.split(", ")).explode("seeds")
    table["recording"] += "-s" + table["seeds"]
    for scale in ("full", "reduced"):
        names = [run.name for p in PRESET_NAMES for run in preset(p, scale).runs]
        shown = table.loc[table[scale] != "-", "recording"]
        assert sorted(shown) == sorted(names)


@pytest.mark.parametrize("scale", ["full", "reduced"])
def test_every_command_selects_its_run_and_nothing_else(scale: str) -> None:
    table = commands(scale, 9)  # type: ignore[arg-type]
    names = [run.name for p in PRESET_NAMES for run in preset(p, scale).runs]  # type: ignore[arg-type]
    assert table["recording"].tolist() == names
    for _, own in table.groupby("preset"):
        name, command = own.iloc[-1][["recording", "command"]]
        program, *arguments = shlex.split(command)
        assert program == "ssl-companion"
        parsed = cli.parse(cli.COMMANDS, arguments)  # slow, and the same for all of a preset
        assert isinstance(parsed, Record)
        assert parsed.minutes == 9
        assert [run.name for run in parsed.selected()] == [name]


def test_a_command_is_repeated_until_it_does_not_stop(tmp_path: Path) -> None:
    script = tmp_path / "work"
    script.write_text(
        '#!/bin/sh\necho x >> "$0.calls"\n'
        '[ $(wc -l < "$0.calls") -ge 3 ] && echo recorded || echo "stopped after 9 minutes"\n'
    )
    script.chmod(0o755)
    subprocess.run(["bash", "-c", until_done(str(script))], check=True, capture_output=True)
    assert (tmp_path / "work.calls").read_text().count("x") == 3
