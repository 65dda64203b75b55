"""The layout shows the architecture: rooms know those before them, and names mean one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import ssl_companion

PACKAGE = Path(ssl_companion.__file__).parent
#: Each room may import those before it, its own modules and `errors`.
ROOMS = (
    "io", "measures", "data", "training", "recordings", "presets", "encoders", "cli",
    "chapters.analysis", "chapters.claims", "chapters.plots", "chapters.widgets",
    "chapters.exercises", "chapters.commands",
)  # fmt: skip


def _modules() -> dict[str, ast.Module]:
    found = {}
    for file in PACKAGE.rglob("*.py"):
        name = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix("__init__").removesuffix(".")] = ast.parse(file.read_text("utf8"))
    return found


MODULES = _modules()


def _imported(tree: ast.Module, *, at_start: bool = False) -> set[str]:
    """The modules of the package that one imports; `at_start`: as it is loaded."""
    nodes = tree.body if at_start else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    names = {name.removeprefix("ssl_companion.") for name in found if "ssl_companion" in name}
    return names & MODULES.keys()


def _room(module: str) -> str:
    known = [room for room in ROOMS if f"{module}.".startswith(f"{room}.")]
    return known[0] if known else ""


def test_at_most_three_modules_are_loose() -> None:
    assert {name for name in MODULES if "." not in name and name not in ROOMS} <= {
        "", "__main__", "errors", "chapters",
    }  # fmt: skip


def test_the_library_never_imports_the_chapters() -> None:
    # `__main__` is no room: it puts the commands of the library and of the chapters together.
    arrows = {
        (module, other)
        for module, tree in MODULES.items()
        for other in _imported(tree)
        if other.startswith("chapters") and not module.startswith(("chapters", "__main__"))
    }
    assert not arrows


def test_a_room_knows_only_those_before_it() -> None:
    arrows = {
        (module, other)
        for module, tree in MODULES.items()
        for other in _imported(tree)
        if _room(module) and _room(other) and ROOMS.index(_room(other)) > ROOMS.index(_room(module))
    }
    assert not arrows


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module: {
            other
            for other in _imported(tree, at_start=True)
            if other != module and not module.startswith(f"{other}.")
        }
        for module, tree in MODULES.items()
    }
    assert set(TopologicalSorter(graph).static_order()) == set(graph)  # a circle raises


def test_a_public_name_means_one_thing() -> None:
    defined = defaultdict(list)
    for module, tree in MODULES.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                defined[node.name].append(module)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        defined[target.id].append(module)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                defined[node.target.id].append(module)
    twice = {
        name: modules
        for name, modules in defined.items()
        if len(modules) > 1 and not name.startswith("_")
    }
    # The classes of either data set, level by level; the commands of the library and the book's.
    assert twice.keys() <= {"COARSE", "COMMANDS"}
