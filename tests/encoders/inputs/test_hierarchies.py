"""Five forms of a hierarchy say the same; what does not nest, or has no place, is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.data import Hierarchy, Level
from ssl_companion.data.hierarchy import CIFAR100, hierarchy_to_dict
from ssl_companion.encoders.inputs.hierarchies import as_hierarchy, ordered_columns, read_hierarchy

NAMES = ("car", "cat", "dog", "oak", "wolf")
TREE = {
    "animal": {"pet": ["cat", "dog"], "wild": "wolf"},
    "other": {"plant": ["oak"], "thing": ["car"]},
}
GROUPS = {"car": ("thing", "other"), "cat": ("pet", "animal"), "dog": ["pet", "animal"],
          "oak": ("plant", "other"), "wolf": ("wild", "animal")}  # fmt: skip
PATHS = ["entity/other/thing/car", "entity/animal/pet/cat", "entity/animal/pet/dog",
         "entity/other/plant/oak", "/entity/animal/wild/wolf"]  # fmt: skip
COLUMNS = pd.DataFrame({"class": NAMES, "kind": [GROUPS[name][0] for name in NAMES],
                        "realm": [GROUPS[name][1] for name in NAMES]})  # fmt: skip


@st.composite
def branches(draw: st.DrawFn) -> list[tuple[str, ...]]:
    """Random trees: for each class the groups that lead to it, all of one depth."""
    depth, k = draw(st.integers(1, 4)), draw(st.integers(2, 12))
    rows = [[f"class {i}"] for i in range(k)]
    parent = list(range(k))
    for level in range(depth):
        count = max(parent) + 1
        up = draw(st.lists(st.integers(0, count), min_size=count, max_size=count))
        names = {
            group: f"group {level} {draw(st.integers(0, 99))} {i}"
            for i, group in enumerate(set(up))
        }
        number = {group: i for i, group in enumerate(sorted(set(up)))}
        for i, row in enumerate(rows):
            row.insert(0, names[up[parent[i]]])
        parent = [number[up[p]] for p in parent]
    return [tuple(row) for row in draw(st.permutations(rows))]


def nested(rows: list[tuple[str, ...]]) -> Any:
    """The nested dictionary of some branches."""
    if all(len(row) == 1 for row in rows):
        return [row[0] for row in rows]
    below: dict[str, list[tuple[str, ...]]] = {}
    for row in rows:
        below.setdefault(row[0], []).append(row[1:])
    return {group: nested(members) for group, members in below.items()}


@given(rows=branches(), reverse=st.booleans(), repeats=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_five_forms_of_a_hierarchy_are_one(
    rows: list[tuple[str, ...]], reverse: bool, repeats: int
) -> None:
    names = sorted(row[-1] for row in rows)
    table = pd.DataFrame([row[:: 1 if reverse else -1] for row in rows * repeats])
    found = as_hierarchy(["/".join(row) for row in rows], names)
    forms = (
        found,
        nested(rows),
        {row[-1]: row[-2::-1] for row in rows},
        table,
        [("root", *row) for row in rows],
    )
    for form in forms:
        assert hierarchy_to_dict(as_hierarchy(form, names)) | {"name": ""} == (
            hierarchy_to_dict(found) | {"name": ""}
        ), type(form)
    for level in found.levels[1:]:  # by hand: two classes are together if a group has both
        together = level.of_fine[:, None] == level.of_fine
        own = {row[-1]: row for row in rows}
        depth = next(d for d in range(len(rows[0]) - 1, 0, -1) if np.array_equal(
            together, [[own[a][:d] == own[b][:d] for a in names] for b in names]
        ))  # fmt: skip
        assert {own[name][depth - 1] for name in names} == set(level.class_names)
    ks = [level.k for level in found.levels]
    assert ks == sorted(set(ks), reverse=True)
    assert ks[-1] > 1


@pytest.mark.parametrize("form", [TREE, GROUPS, PATHS, COLUMNS, COLUMNS.iloc[:, ::-1]])
def test_the_forms_of_the_documentation(form: Any) -> None:
    found = as_hierarchy(form, NAMES)
    kind, realm = found.levels[1:]
    assert kind.class_names == ("pet", "plant", "thing", "wild")
    assert kind.of_fine.tolist() == [2, 0, 0, 1, 3]
    assert realm.class_names == ("animal", "other")
    assert realm.of_fine.tolist() == [1, 0, 0, 1, 0]
    own = isinstance(form, pd.DataFrame)
    assert found.names == (("fine", "kind", "realm") if own else ("fine", "level1", "level2"))


@pytest.mark.parametrize("form", [[1, 0, 0, 2, 0], np.array([1, 0, 0, 2, 0], np.uint8)])
def test_numbers_of_groups_stand_in_the_order_of_the_classes(form: Any) -> None:
    (level,) = as_hierarchy(form, NAMES).levels[1:]
    assert level.class_names == ("0", "1", "2")
    assert level.of_fine.tolist() == [1, 0, 0, 2, 0]


def test_a_hierarchy_is_found_by_the_names_of_its_classes() -> None:
    some = ["wolf", "apple", "bus", "oak_tree"]
    found = as_hierarchy(CIFAR100, some)
    assert found.names == ("fine", "seven", "living"), "four classes are in four superclasses"
    place = {name: i for i, name in enumerate(CIFAR100.levels[0].class_names)}
    for level in found.levels[1:]:
        theirs = CIFAR100.level(level.name)
        expected = [theirs.class_names[theirs.of_fine[place[name]]] for name in some]
        assert [level.class_names[i] for i in level.of_fine] == expected
    assert hierarchy_to_dict(as_hierarchy(CIFAR100, CIFAR100.levels[0].class_names))[
        "levels"][0] == hierarchy_to_dict(CIFAR100)["levels"][0]  # fmt: skip


def test_numbers_are_names_of_classes_without_other_names() -> None:
    names = ["0", "1", "2"]
    for form in ({0: "a", 1: "b", 2: "a"}, {"0": "a", "1": "b", "2": "a"}, {"a": [0, 2], "b": [1]}):
        assert as_hierarchy(form, names).levels[1].of_fine.tolist() == [0, 1, 0]


def test_a_class_that_ends_early_is_a_group_of_its_own() -> None:
    paths = ["animal/pet/cat", "animal/pet/dog", "animal/wild/wolf", "plant/oak", "car"]
    found = as_hierarchy(paths, NAMES)
    assert [level.class_names for level in found.levels[1:]] == [
        ("car", "oak", "pet", "wild"), ("animal", "car", "plant")
    ]  # fmt: skip


def test_levels_that_say_nothing_are_left_out() -> None:
    groups = {name: (name.upper(), *GROUPS[name], "entity") for name in NAMES}
    assert [level.k for level in as_hierarchy(groups, NAMES).levels] == [5, 4, 2]
    assert as_hierarchy({"all": list(NAMES)}, NAMES).names == ("fine",)


def test_groups_of_one_name_in_different_branches_are_told_apart() -> None:
    tree = {
        "animal": {"small": ["cat", "dog"], "large": ["wolf"]},
        "rest": {"small": ["oak", "car"]},
    }
    assert as_hierarchy(tree, NAMES).levels[1].class_names == (
        "large",
        "animal/small",
        "rest/small",
    )


TWO = pd.DataFrame({"class": ["cat", "cat", "dog"], "kind": ["pet", "wild", "pet"]})


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"cat": "pet", "dog": "pet"}, r"no place for class 'car' \(3 of 5 absent\), only for"),
        ({"animal": ["cat", "dog"]}, r"no place for class 'car' \(3 of 5 absent\)"),
        (["animal/cat"], r"no place for class 'car' \(4 of 5 absent\), only for 'cat' and so on"),
        (TWO.iloc[1:], "no place for class 'car'"),
        (CIFAR100, "no place for class 'car'"),
        ({"animal": ["cat", "dog"], "pet": ["cat"]}, "'cat' at 'animal/cat' and at 'pet/cat'"),
        (["a/cat", "a/cat"], "class 'cat' at 'a/cat' and at 'a/cat'; expected each class once"),
        (TWO, "class 'cat' is in 'pet' and in 'wild' at 'kind'; expected each class in one group"),
        (
            {"cat": ("pet", "animal"), "dog": ("pet", "beast")},
            "group 'pet' is in 'animal' and in 'beast'; expected levels that nest",
        ),
        (COLUMNS.assign(realm=["a", "b", "c", "c", "c"]), "group 'pet' is in 'b' and in 'c'"),
        ({}, "an empty dictionary; expected a Hierarchy, a dictionary"),
        (pd.DataFrame(), r"a table of shape \(0, 0\); expected a column of labels"),
        ("cifar100", "'cifar100'; expected a Hierarchy, a dictionary of class and group"),
        (None, "NoneType; expected a Hierarchy"),
        (GROUPS | {"cat": None}, r"\['cat'\]: NoneType; expected the name of a group"),
        (GROUPS | {"cat": ("pet", 1.5)}, r"\['cat'\]: 1.5; expected the name of a group"),
        ({"animal": {"pet": []}}, r"\['animal/pet'\]: list; expected names of classes"),
        ({"animal": {"pet": {}}}, r"\['animal/pet'\]: dict; expected names of classes"),
        ({"animal": {"pet": ["cat", None]}}, r"\['animal/pet'\]: NoneType; expected names of cl"),
        (["a/cat", 7.5], "7.5 among the paths; expected text such as 'animal/pet/cat'"),
        ([0, 0, 1], "3 numbers of groups for 5 classes; expected one for each class, in the order"),
        (["a/cat", "//"], "'//' among the paths; expected text"),
        (COLUMNS.assign(kind=None), r"\['kind'\]\[0\]: None; expected labels of one kind"),
        (COLUMNS.assign(kind=0.5), r"\['kind'\]: dtype float64; expected labels that are integers"),
        (COLUMNS.rename(columns={"kind": "permuted"}), "a level 'permuted' above the finest; exp"),
        (COLUMNS.rename(columns={"kind": "realm"}), "columns .*; expected names that differ"),
    ],
)  # fmt: skip
def test_what_is_no_hierarchy_over_the_classes_is_refused(form: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^hierarchy.*{message}") as caught:
        as_hierarchy(form, NAMES)
    assert "\n" not in str(caught.value)


def test_columns_are_ordered_by_their_classes_and_stay_as_they_are_among_equals() -> None:
    table = pd.DataFrame(
        {"b": [0, 0, 1, 1], "c": [5, 5, 5, 5], "a": [3, 1, 4, 9], "d": [7, 7, 6, 6]}
    )
    assert list(ordered_columns(table)) == ["a", "b", "d", "c"]
    same = Hierarchy("x", (Level("fine", ("0", "1"), np.arange(2)),))
    assert as_hierarchy(same, ["1", "0"]).levels[0].class_names == ("1", "0")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read (No such file"), ("{", "cannot be read (Expecting"),
     (b"\xff\xfe", "cannot be read ("), ("[" * 100_000, "cannot be read (")],
)  # fmt: skip
def test_files_that_are_no_json_are_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "tree.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="expected JSON such as") as caught:
        read_hierarchy(path)
    assert f"tree.json: {message}" in str(caught.value)
