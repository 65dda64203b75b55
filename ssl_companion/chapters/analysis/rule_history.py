"""How the rules of the claims came about: tables of the file that is made from git.

`rule_history.json.gz` beside this module is written by `book/_tools/rule_history.py` from the
history of the repository, so that a page can show it where there is none: in a wheel, in a copy.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd

_WORDS = {
    "measurement": "measured",
    "there": "measured (by the claim that it points to)",
    "also": "measured as well",
    "control": "control",
    "positive": "positive control",
}
_OF_A_RULE = {"why": "reasons", "known": "known by then"}
#: Units of accuracies or shares whose changes the book gives in percentage points.
_IN_POINTS = re.compile(r"^(?:least )?(?:growth|fall) of |^share of the gain: lost .* less lost ")
#: Wordings that took another's place without a change of what is measured.
_REWORDED = {
    "labels drawn by lot": "random labels",
    "place: by one of these rulers alone, partly": "place; if only one of these readings meets the "
    "threshold, partly",
    "the network before training in its place": "the network before training in place of the "
    "weakened regularizer",
    "(100 random ones, by": "(random ones, by",
    "share of the settings that meet the least effects of clustering and semantic-over-random, and "
    "by accuracy those of time and depth, all together": "share of the settings that reach all "
    "four thresholds: of clustering, of alignment with semantic classes more than with random "
    "ones, and, by accuracy, of time and of depth",
}


@cache
def history() -> dict[str, Any]:
    """What the file holds; `book/_tools/rule_history.py` says what that is."""
    file = resources.files("ssl_companion.chapters.analysis") / "rule_history.json.gz"
    return dict(json.loads(gzip.decompress(file.read_bytes())))


def recorded_by(commit: str) -> int:
    """How many recordings there were just before a commit."""
    return len(history()["commits"][commit]["recorded"])


def verdicts_before(commit: str) -> dict[str, str]:
    """The last verdicts that the repository kept before a commit that changed a rule, by claim."""
    return dict(history()["commits"][commit]["verdicts"])


def rules_overview() -> pd.DataFrame:
    """A row a claim: when its rule was first written, and each time it was rewritten.

    Returns:
        Columns claim, "first written", "rewritten" ("26 Nov 2026, 01:09: measured, control"; new
        reasons for the same threshold do not count); both say what had been recorded by then.
    """
    lines = []
    for claim, versions in history()["claims"].items():
        first, *later = versions
        rewritten = [
            f"{_when(version)}: {', '.join(changed)} ({_recorded(version)} recorded)"
            for old, version in zip(versions, later, strict=False)
            if (changed := _what_counts(old, version))
        ]
        lines.append(
            {
                "claim": claim,
                "first written": f"{_when(first)} ({_recorded(first)} recorded)",
                "rewritten": "; ".join(rewritten) or "never",
            }
        )
    return pd.DataFrame(lines)


def rule_versions(claim: str) -> pd.DataFrame:
    """What each version of a claim's rule changed, oldest first.

    Args:
        claim: its id.

    Returns:
        A row a change: "written" (date and commit) and "by then" (recordings, and the last verdict
        that the repository kept), both in a version's first row only; "what", "before", "after".

    Raises:
        KeyError: no such claim.
    """
    lines: list[dict[str, str]] = []
    old: dict[str, Any] = {"rules": {}}
    for version in history()["claims"][claim]:
        then = f"{_recorded(version)} recorded"
        if verdict := history()["commits"][version["commit"]]["verdicts"].get(claim):
            then += f"; last kept verdict: {verdict}"
        head = {"written": f"{_when(version)} ({version['commit']})", "by then": then}
        for what, before, after in _changes(old, version):
            lines.append(head | {"what": what, "before": before, "after": after})
            head = {"written": "", "by then": ""}
        old = version
    return pd.DataFrame(lines)


def decisions() -> str:
    """Versions of how a verdict is given, oldest first, as Markdown: a date over each quotation."""
    return "\n\n".join(
        f"**{_when(version)}** ({version['commit']}; {_recorded(version)} recorded by then)\n\n"
        + "\n".join(f"> {line}".rstrip() for line in version["words"].splitlines())
        for version in history()["decision"]
    )


def known() -> pd.DataFrame:
    """What had been measured when the present thresholds were set, rule by rule."""
    return pd.DataFrame(
        [
            {
                "claim": claim,
                "threshold": _threshold(rule),
                "known when it was set": rule["known"] or "nothing is noted",
            }
            for claim, all_of_it in history()["claims"].items()
            for rule in all_of_it[-1]["rules"].values()
        ]
    )


def messages() -> pd.DataFrame:
    """The commits that changed a rule, in their own words, with what had been recorded."""
    commits = history()["commits"]
    return pd.DataFrame(
        [
            {
                "commit": f"{_date(one['date'])} ({name})",
                "message": f"{one['subject']}. {one['body']}".strip(),
                "recorded before": _families(one["recorded"]),
            }
            for name, one in sorted(commits.items(), key=lambda item: item[1]["date"])
        ]
    )


def touched() -> pd.DataFrame:
    """All other commits to the code of the claims, oldest first: "commit", "message"."""
    rows = sorted(history()["touched"], key=lambda row: row["date"])
    return pd.DataFrame(
        [{"commit": f"{_date(r['date'])} ({r['commit']})", "message": r["subject"]} for r in rows]
    )


def first_runs() -> pd.DataFrame:
    """The first recordings, by what they were doing when the first rules were committed.

    Returns:
        Columns recording, began, ended (with what was measured of it), "at the first rules":
        "not begun", "in training or being measured", "done".
    """
    written = min(one["date"] for one in history()["commits"].values())
    lines = []
    for name, run in sorted(history()["first"]["runs"].items(), key=lambda r: r[1]["start"]):
        state = "done" if run["end"] <= written else "in training or being measured"
        lines.append(
            {
                "recording": name,
                "began": _date(run["start"]),
                "ended": _date(run["end"]),
                "at the first rules": "not begun" if run["start"] > written else state,
            }
        )
    return pd.DataFrame(lines)


def _what_counts(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs but for reasons and what was known, each named once."""
    kinds = (what.partition(" (")[0] for what, _, _ in _changes(old, new))
    return list(dict.fromkeys(kind for kind in kinds if kind not in _OF_A_RULE.values()))


def _changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What differs between two versions, with both wordings; "" for what is not there."""
    for key, what in _WORDS.items():
        before, after = (_said(version.get(key, "")) for version in (old, new))
        if _reworded(before) != _reworded(after):
            yield what, before, after
    several = len(old["rules"].keys() | new["rules"].keys()) > 1
    for name in [*old["rules"], *(n for n in new["rules"] if n not in old["rules"])]:
        which = f" ({name.lower().replace('_', ' ')})" if several else ""
        was, now = (version["rules"].get(name) for version in (old, new))
        if now is None:
            yield f"threshold{which}", _threshold(was), "no longer asked"
            continue
        if was and all(was[key] == now[key] for key in ("direction", "null", "least", "whole")):
            what, before, after = "unit", was["unit"], now["unit"]
        else:
            what, before, after = "threshold", _threshold(was) if was else "", _threshold(now)
        if before != after:
            yield f"{what}{which}", before, after
        for key, what in _OF_A_RULE.items():
            before, after = was[key] if was else "", now[key]
            if before != after:
                yield f"{what}{which}", before, after


def _reworded(words: str) -> str:
    for old, new in _REWORDED.items():
        words = words.replace(old, new)
    return words


def _said(words: str | list[list[str]]) -> str:
    return words if isinstance(words, str) else "; ".join(part[0] for part in words)


def _threshold(rule: dict[str, Any]) -> str:
    sign = "≥" if rule["direction"] == "above" else "≤"
    by = "" if rule["whole"] else ", by the estimate"
    points = f"{100 * rule['least']:g} points; " if _IN_POINTS.search(rule["unit"]) else ""
    return f"{rule['unit']} {sign} {rule['least']:.3g}{by} ({points}null value: {rule['null']:g})"


def _recorded(version: dict[str, Any]) -> str:
    return str(recorded_by(version["commit"]) or "nothing")


def _when(version: dict[str, Any]) -> str:
    return _date(history()["commits"][version["commit"]]["date"])


def _date(stamp: str) -> str:
    at = datetime.strptime(stamp, "%Y-%m-%d %H:%M")
    return f"{at.day} {at:%b %Y, %H:%M}"


def _families(names: list[str]) -> str:
    if not names:
        return "nothing"
    count = Counter(name.rpartition("/")[2].partition("-")[0] for name in names)
    return f"{len(names)}: " + ", ".join(f"{family} {n}" for family, n in sorted(count.items()))
