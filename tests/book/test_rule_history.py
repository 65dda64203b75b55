"""How the rules came about, read from git: a made-up history, and this repository's own."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rule_history
from rule_history import CLAIM_OF, FILE, ROOT, behind, has_history

from ssl_companion.chapters.analysis import rule_history as tables
from ssl_companion.chapters.claims import rules as present
from ssl_companion.chapters.claims.decision import Rule

PAGE = ROOT / "book/how-the-rules-came-about.md"
HASH = re.compile(r"[`\"]([0-9a-f]{7})[`\"]")
RULE = """\
class Rule:
    direction: str
    null: float
    least: float
    unit: str
    why: str

_WHY = "because " "of it"
DEPTH = Rule("above", 0.0, {least}, "points", _WHY + ".")

def decide(effect):
    '''As it comes.'''
"""
LEDGER = """\
class Claim:
    id: str
    measurement: str
    rule: Rule
    control: str

_LABELS = "labels"
CLAIMS: tuple[Claim, ...] = (
    Claim("depth", {measured}, rules.DEPTH, f"shuffled {{_LABELS}}"),
)
"""
Commit = Callable[..., str]


@pytest.fixture
def commit(tmp_path: Path) -> Commit:
    """`commit(file=text, ...)` in an empty repository gives the commit's short name."""
    who = {f"GIT_{a}_{b}": "a@b" for a in ("AUTHOR", "COMMITTER") for b in ("NAME", "EMAIL")}
    env = os.environ | who | {"GIT_CONFIG_GLOBAL": os.devnull}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        return done.stdout.strip()

    def make(branch: str = "main", merge: str = "", **files: str) -> str:
        git("checkout", "-q", *(["-b"] if branch not in git("branch") else []), branch)
        if merge:
            git("merge", "-q", "--no-ff", "-m", "merged", merge)
        for name, text in files.items():
            path = tmp_path / {"rules": "ssl_companion/claims/rules.py",
                               "ledger": "ssl_companion/claims/ledger.py",
                               "moved": "ssl_companion/chapters/claims/rules.py",
                               "run": "book/recordings/depth-s0/run.json"}[name]  # fmt: skip
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if files:
            git("add", "-A")
            git("commit", "-q", "-m", "said", "-m", "and explained\nat length")
        return git("rev-parse", "HEAD")[:7]

    git("init", "-q", "-b", "main")
    return make


def ledger(measured: str = '"what it is"') -> str:
    return LEDGER.format(measured=measured)


RUN = json.dumps({"start": "2026-01-02T03:04:05+00:00", "end": "2026-01-02T03:05:05+00:00"})


def test_each_version_comes_with_its_commit_and_what_was_recorded_before_it(
    commit: Commit, tmp_path: Path
) -> None:
    first = commit(rules=RULE.format(least=0.5), ledger=ledger())
    recorded = commit(run=RUN)
    commit(rules=RULE.format(least=0.5) + "# a comment")
    second = commit(ledger=ledger('"another " "thing"'))
    third = commit(rules=RULE.format(least="2 / 3"))
    found = rule_history.history(tmp_path)
    versions = found["claims"]["depth"]
    assert [one["commit"] for one in versions] == [first, second, third]
    assert [one["measurement"] for one in versions] == ["what it is"] + 2 * ["another thing"]
    assert [one["rules"]["DEPTH"]["least"] for one in versions] == [0.5, 0.5, 2 / 3]
    assert versions[0]["rules"]["DEPTH"]["why"] == "because of it."
    assert versions[0]["control"] == "shuffled labels"
    assert [found["commits"][c]["recorded"] for c in (first, second)] == [[], ["depth-s0"]]
    assert found["commits"][first]["body"] == "and explained at length"
    assert found["first"]["commit"] == recorded
    assert len(found["touched"]) == 1, "the comment"
    assert [one["words"] for one in found["decision"]] == ["As it comes."]


def test_a_rule_that_moves_is_the_same_and_a_merge_writes_none(
    commit: Commit, tmp_path: Path
) -> None:
    first = commit(rules=RULE.format(least=0.5), ledger=ledger())
    commit("side", moved=RULE.format(least=0.5))
    second = commit("side", ledger=ledger('"another"'))
    commit(run=RUN)
    commit(merge="side")
    assert [v["commit"] for v in rule_history.history(tmp_path)["claims"]["depth"]] == [
        first, second,
    ]  # fmt: skip


def test_what_did_not_fit_its_class_is_told_and_not_guessed(commit: Commit, tmp_path: Path) -> None:
    first = commit(rules=RULE.format(least=0.5), ledger=ledger())
    misfit = commit(ledger=ledger('"new"').replace("    control", "    more: str\n    control"))
    found = rule_history.history(tmp_path)
    assert [one["commit"] for one in found["claims"]["depth"]] == [first]
    [told] = found["unreadable"]
    assert (told["commit"], told["claims"]) == (misfit, ["depth"])
    assert "id, measurement, rule, more, control" in told["why"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rules": RULE.format(least="max(1, 2)")}, r"max\(1, 2\)"),
        ({"rules": RULE.format(least=1) + "\nALL = [Rule('above', 0, 1, '', '')]"}, "of its own"),
        ({"rules": RULE.format(least=1) + "\nCLAIMS: tuple = make()"}, "CLAIMS.*make"),
        ({"rules": RULE.format(least=1).replace("DEPTH", "STRANGER")}, "STRANGER.*CLAIM_OF"),
    ],
)
def test_a_shape_that_is_not_known_is_an_error(
    commit: Commit, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    commit(**changed)
    with pytest.raises(ValueError, match=said):
        rule_history.history(tmp_path)


def test_the_file_may_lack_the_versions_of_the_newest_commit_alone(
    commit: Commit, tmp_path: Path
) -> None:
    commit(rules=RULE.format(least=0.5), ledger=ledger())
    kept = rule_history.history(tmp_path)
    assert behind(kept, kept, "") == []
    newest = commit(rules=RULE.format(least=0.6))
    now = rule_history.history(tmp_path)
    assert behind(kept, now, newest) == []
    later = commit(run=RUN)
    assert behind(kept, rule_history.history(tmp_path), later) == ["depth"]


def test_the_committed_file_is_what_git_gives() -> None:
    if not has_history():
        pytest.skip("no history here, or not all of it")
    head = rule_history.git(ROOT)("rev-parse", "HEAD").strip()
    stale = behind(json.loads(gzip.decompress(FILE.read_bytes())), rule_history.history(), head)
    assert not stale, "run `python book/_tools/rule_history.py` and commit what it writes"


def test_no_checkout_without_a_history_is_asked_for_it(tmp_path: Path) -> None:
    assert not has_history(tmp_path)


def test_every_rule_has_its_claim() -> None:
    assert {name for name, of in vars(present).items() if isinstance(of, Rule)} <= CLAIM_OF.keys()


def test_the_page_names_commits_and_claims_of_the_file() -> None:
    found, page = tables.history(), PAGE.read_text("utf8")
    named = set(HASH.findall(page))
    assert named
    assert named <= found["commits"].keys() | {one["commit"] for one in found["touched"]}
    assert tables.verdicts_before("9286e6e").keys() == found["claims"].keys()
    assert re.findall(r'rule_versions\("([\w-]+)"\)', page) == list(found["claims"])


def history(*versions: dict[str, Any]) -> dict[str, Any]:
    commits = {
        v["commit"]: {
            "date": f"2026-01-0{i} 10:00", "recorded": ["small/a-s0", "a-s1"][: i - 1],
            "verdicts": {"depth": "partly"} if i > 1 else {}, "subject": "said", "body": "",
        }
        for i, v in enumerate(versions, 1)
    }  # fmt: skip
    runs = {
        "a": {"start": "2026-01-01 09:00", "end": "2026-01-01 09:59"},
        "b": {"start": "2026-01-01 09:30", "end": "2026-01-01 11:00"},
        "c": {"start": "2026-01-01 10:30", "end": "2026-01-01 11:00"},
    }
    first = {"runs": runs}
    return {"claims": {"depth": list(versions)}, "commits": commits, "first": first}


def rule(**changes: Any) -> dict[str, Any]:
    own = {"direction": "above", "null": 0, "least": 0.5, "unit": "points", "why": "so"}
    return own | {"known": "", "whole": True} | changes


def test_tables_say_what_changed_and_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = (
        {"commit": "aaaaaaa", "measurement": "it", "rules": {"A": rule()}},
        {"commit": "bbbbbbb", "measurement": "it", "rules": {"A": rule(least=0.25)}},
        {"commit": "ccccccc", "measurement": "that", "rules": {"B": rule(known="all")}},
    )
    made = history(*versions)
    monkeypatch.setattr(tables, "history", lambda: made)
    shown = tables.rule_versions("depth")
    assert shown[["what", "before", "after"]].to_numpy().tolist() == [
        ["measured", "", "it"],
        ["threshold", "", "points ≥ 0.5 (null value: 0)"],
        ["reasons", "", "so"],
        ["threshold", "points ≥ 0.5 (null value: 0)", "points ≥ 0.25 (null value: 0)"],
        ["measured", "it", "that"],
        ["threshold (a)", "points ≥ 0.25 (null value: 0)", "no longer asked"],
        ["threshold (b)", "", "points ≥ 0.5 (null value: 0)"],
        ["reasons (b)", "", "so"],
        ["known by then (b)", "", "all"],
    ]
    assert [cell for cell in shown["by then"] if cell] == [
        "nothing recorded", "1 recorded; last kept verdict: partly",
        "2 recorded; last kept verdict: partly",
    ]  # fmt: skip
    [row] = tables.rules_overview().to_dict("records")
    assert row["rewritten"] == (
        "2 Jan 2026, 10:00: threshold (1 recorded); "
        "3 Jan 2026, 10:00: measured, threshold (2 recorded)"
    )
    assert tables.known()["known when it was set"].tolist() == ["all"]
    assert tables.first_runs()["at the first rules"].tolist() == [
        "done", "in training or being measured", "not begun",
    ]  # fmt: skip
    assert tables.messages()["recorded before"].tolist() == ["nothing", "1: a 1", "2: a 2"]


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("growth of the advantage in accuracy", "≥ 0.05 (5 points; null value: 0)"),
        ("least growth of the advantage over the strongest control", "(5 points; null value: 0)"),
        ("fall of the share of entropy that is specific to the view", "(5 points; null value: 0)"),
        ("rank correlation", "≥ 0.05 (null value: 0)"),
        ("share of runs", "≥ 0.05 (null value: 0)"),
    ],
)
def test_what_the_book_gives_in_points_has_its_threshold_in_points(unit: str, shown: str) -> None:
    rule = {"unit": unit, "direction": "above", "null": 0.0, "least": 0.05, "whole": True}
    assert tables._threshold(rule).endswith(shown)


def test_other_commits_come_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"date": f"2026-01-0{day} 00:00", "commit": "abc", "subject": str(day)} for day in (2, 1)
    ]
    monkeypatch.setattr(tables, "history", lambda: {"touched": rows})
    assert tables.touched()["message"].tolist() == ["1", "2"]
