"""`ssl-companion claims`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from ssl_companion.__main__ import main
from ssl_companion.chapters.analysis.accuracies import NotRecorded, Runs
from ssl_companion.chapters.claims import CLAIMS, Evidence, claim
from ssl_companion.data.threads import tensor_threads
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
    assert printed.startswith("Of nine claims: ")
    assert ", 9 not measured\n" in printed
    assert printed.count("– not measured | ") == 9
    assert "record regularizer" in printed


def test_an_unknown_claim_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="name: 'clustring'; expected one of clustering, "):
        claim("clustring")


def test_a_claim_is_judged_on_one_core() -> None:
    asked: list[list[int]] = []

    def threads() -> list[int]:
        return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpool_info())]

    def evidence(_: Runs) -> Evidence:
        asked.append(threads())
        raise NotRecorded("nothing")

    with tensor_threads(2), threadpool_limits(2):
        before = threads()
        replace(CLAIMS[0], evidence=evidence).judge({})
        assert threads() == before  # and the caller's own afterwards
    assert set(asked[0]) == {1}
    assert set(before) == {2}
