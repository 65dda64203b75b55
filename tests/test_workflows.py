"""The workflows: what runs there is pinned, and may do no more than it has to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAY_WRITE = {  # which job holds which right, and runs nothing of the book's build
    ("pages.yml", "deploy"): {"pages", "id-token"},
    ("pages.yml", "notebooks"): {"contents"},
}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text("utf8"))
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_their_release(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text("utf8"))
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_new_releases_of_pinned_actions_are_proposed() -> None:
    updates = read(ROOT / ".github/dependabot.yml")["updates"]
    assert [(one["package-ecosystem"], one["directory"]) for one in updates] == [
        ("github-actions", "/")
    ]


def test_an_action_is_one_commit_everywhere() -> None:
    text = "".join(path.read_text("utf8") for path in WORKFLOWS)
    used = set(re.findall(r"uses: (.*)", text))
    assert len({action.split("@")[0] for action in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_only_jobs_that_build_nothing_may_write(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        rights = {right for right, what in job.get("permissions", {}).items() if what == "write"}
        assert rights == MAY_WRITE.get((path.name, name), set()), name
        commands = [step.get("run", "") for step in job["steps"]]
        if rights:
            assert not re.search(r"\b(make|pip|python)\b", " ".join(commands)), name
        else:
            for step in job["steps"]:
                if "actions/checkout" in step.get("uses", ""):
                    assert step["with"]["persist-credentials"] is False, name
        assert "${{ github" not in " ".join(commands), "not into a shell's text"
