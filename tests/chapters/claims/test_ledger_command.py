"""`ssl-companion claims`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_companion.__main__ import main
from ssl_companion.chapters.claims import claim
from ssl_companion.recordings import Recording


def test_json_has_nine_whole_rows(
    world: Callable[[str], dict[str, Recording]], capsys: pytest.CaptureFixture[str]
) -> None:
    root = next(iter(world("clusters").values())).path.parent
    assert main(["claims", "--json", "--root", str(root)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 9
    for row in rows:
        assert row.keys() >= {
            "effect", "low", "high", "unit", "null", "least_effect", "positive_control",
            "negative_controls", "measured_on", "verdict", "pilot",
        }  # fmt: skip
        assert row["rule"]
    judged = {row["id"]: row for row in rows if row["id"] in ("clustering", "downstream")}
    for row in judged.values():
        assert row["verdict"] == "reproduced"
        assert row["low"] <= row["effect"] <= row["high"]
        assert row["positive_control"]["right"]
        assert all(control["right"] for control in row["negative_controls"])
        assert row["measured_on"]


def test_an_empty_folder_gives_nine_rows_that_say_what_to_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claims", "--root", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("not measured") == 9
    assert "record regularizer" in printed


def test_an_unknown_claim_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="name: 'clustring'; expected one of clustering, "):
        claim("clustring")
