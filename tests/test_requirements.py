"""pyproject.toml promises the ranges that requirements.txt installs, and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
EITHER = {"faiss-cpu", "faiss-gpu"}  # the book takes one by platform, the core the first always


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    return loaded


def ranges(lines: list[str]) -> dict[str, str]:
    """Range of every requirement, by its name; a name that comes twice has one range."""
    found: dict[str, str] = {}
    for one in map(Requirement, lines):
        assert found.setdefault(one.name, str(one.specifier)) == str(one.specifier), one
    return found


def listed(name: str) -> list[str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text("utf8").splitlines())
    return [line for line in lines if line]


def test_the_book_s_list_is_the_core_with_its_extras(project: dict[str, Any]) -> None:
    extras = project["optional-dependencies"]
    parts = [project["dependencies"], *(extras[name] for name in ("train", "plots", "book", "gpu"))]
    assert ranges([line for part in parts for line in part]) == ranges(listed("requirements.txt"))


def test_the_test_tools_are_one_list(project: dict[str, Any]) -> None:
    tools = ranges(project["optional-dependencies"]["dev"])
    assert tools == ranges(listed("requirements-dev.txt"))
    assert ranges(project["optional-dependencies"]["cluster"]).items() <= tools.items()


def test_the_core_brings_nothing_that_draws_or_builds_pages(project: dict[str, Any]) -> None:
    core = set(ranges(project["dependencies"]))
    assert {"torch", "numpy", "faiss-cpu", "scikit-learn"} <= core
    for extra in ("train", "plots", "book"):
        assert not core & set(ranges(project["optional-dependencies"][extra])), extra


@pytest.mark.parametrize(
    ("platform", "machine", "expected"),
    [("linux", "x86_64", "faiss-gpu"), ("linux", "aarch64", "faiss-cpu"),
     ("darwin", "arm64", "faiss-cpu"), ("win32", "AMD64", "faiss-cpu")],
)  # fmt: skip
def test_the_book_has_one_faiss_on_every_platform(
    platform: str, machine: str, expected: str
) -> None:
    here = {"sys_platform": platform, "platform_machine": machine}
    found = [one for one in map(Requirement, listed("requirements.txt")) if one.name in EITHER]
    assert [r.name for r in found if r.marker and r.marker.evaluate(here)] == [expected]


def test_every_python_that_is_promised_is_tested(project: dict[str, Any]) -> None:
    said = {line.split("::")[-1].strip() for line in project["classifiers"] if "3." in line}
    jobs = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text("utf8"))["jobs"]
    assert {leg["python"] for leg in jobs["test"]["strategy"]["matrix"]["include"]} == said


def test_the_lowest_versions_are_those_of_the_ranges() -> None:
    command = [sys.executable, str(ROOT / ".ci/lowest.py"), "core", "train"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lowest = {one.name: one.specifier for one in map(Requirement, made.splitlines())}
    assert {"torch", "numpy", "faiss-cpu", "torchvision"} <= lowest.keys()
    for one in map(Requirement, listed("requirements.txt")):
        if one.name in lowest:
            (only,) = lowest[one.name]
            assert only.operator == "=="
            assert f">={only.version}" == str(one.specifier)


def test_what_ci_installs_is_named_by_version_and_hash_and_holds_what_is_listed() -> None:
    text = (ROOT / "constraints.txt").read_text("utf8").replace("\\\n", " ")
    versions = {}
    for line in [line for line in text.splitlines() if not line.startswith("#")]:
        named, *hashes = line.split()
        name, version = named.split("==")
        assert hashes, line
        assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for one in hashes), line
        versions[canonicalize_name(name)] = version
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["build-system"]["requires"]
    platform = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}
    lists = [*listed("requirements.txt"), *listed("requirements-dev.txt"), *build]
    for one in map(Requirement, lists):
        if one.marker is None or one.marker.evaluate(platform):
            assert versions[canonicalize_name(one.name)] in one.specifier, one
