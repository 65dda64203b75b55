"""Labels of every kind: numbered as scikit-learn does, test labels as training ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder

from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.inputs.labels import class_labels
from ssl_companion.encoders.inputs.samples import training_and_test

TEXT = ["oak", "cat", "dog", "cat", "oak"]
TABLE = pd.DataFrame({"species": TEXT, "kind": ["tree", "pet", "pet", "pet", "tree"]})
FORMS = (
    TEXT, tuple(TEXT), np.array(TEXT), np.array(TEXT, object), pd.Series(TEXT),
    pd.Series(TEXT, dtype="category"), pd.Series(TEXT, dtype="string"), TABLE, TABLE.iloc[:, ::-1],
    TABLE[["species"]],
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__)
def test_text_is_numbered_as_scikit_learn_numbers_it(form: Any) -> None:
    theirs = LabelEncoder().fit(TEXT)
    found = class_labels(form)
    np.testing.assert_array_equal(found.y, theirs.transform(TEXT))
    assert found.names == tuple(theirs.classes_)
    held_out = class_labels(["dog", "cat"], "test_labels", like=found)
    np.testing.assert_array_equal(held_out.y, theirs.transform(["dog", "cat"]))


@given(st.lists(st.text(max_size=5), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_back_by_its_number(texts: list[str]) -> None:
    texts = [text.replace("\0", "") for text in texts]  # NumPy ends text there
    found = class_labels(texts)
    assert found.names is not None
    assert [found.names[i] for i in found.y] == texts
    assert list(found.names) == sorted(set(texts))


@pytest.mark.parametrize("form", [[2, 0, 1], torch.tensor([2, 0, 1]), np.uint8([2, 0, 1]),
                                  pd.Series([2, 0, 1])])  # fmt: skip
def test_integers_are_numbers_already(form: Any) -> None:
    found = class_labels(form, names=["a", "b", "c"])
    assert (found.y.tolist(), found.names, found.by_name) == ([2, 0, 1], ("a", "b", "c"), False)
    assert class_labels(form, names=["a", "b"]).names is None, "these name other classes"


def test_integers_in_columns_may_have_gaps() -> None:
    found = class_labels(pd.DataFrame({"id": [70, 9, 70, 100], "half": [1, 0, 1, 1]}))
    assert (found.names, found.y.tolist()) == (("9", "70", "100"), [1, 0, 1, 2])
    assert found.hierarchy is not None
    assert found.hierarchy.levels[1].of_fine.tolist() == [0, 1, 1]


KNOWN = class_labels(TEXT)


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (["cat", "elm"], {"like": KNOWN}, "test_labels: 'elm' is none of the 3 classes of labels"),
        ([0, 1], {"like": KNOWN}, "test_labels: integers, such as 0; expected the names of cl"),
        (["cat"], {"like": class_labels([0, 1])}, r"text, such as 'cat'; .* `np.searchsorted\("),
        ([0, 1], {"like": class_labels([0, 1], names=["a", "b"]), "names": ["a", "c"]},
         "'c' is none of the 2 classes"),
        (["cat", None], {}, r"test_labels\[1\]: None; expected labels of one kind"),
        (["cat", 2], {}, r"test_labels\[1\]: 2; expected labels of one kind"),
        (["cat"], {"length": 2}, "test_labels: 1 labels; expected 2, one for each row of images"),
        ([["cat"], ["dog"]], {}, r"test_labels: shape \(2, 1\); expected one dimension"),
        (np.eye(3), {}, r"shape \(3, 3\); .* one-hot rows `np.argmax\(test_labels, axis=1\)`"),
        (np.array(TEXT, "S"), {}, "test_labels: bytes, such as b'oak'; expected integer labels"),
        ([0.5, 1.5], {}, "test_labels: dtype .*; expected integer labels"),
        (TABLE.assign(kind=["tree", "pet", "pet", "wild", "tree"]), {},
         "test_labels: class 'cat' is in 'pet' and in 'wild' at 'kind'"),
        (pd.DataFrame({"a": [1.0, np.nan]}), {}, r"test_labels\['a'\]\[1\]: nan; expected"),
        ("nowhere.csv", {}, r"nowhere.csv: cannot be read \(No such file"),
    ],
)  # fmt: skip
def test_labels_that_will_not_do_are_refused(
    labels: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        class_labels(labels, "test_labels", **settings)
    assert "\n" not in str(caught.value)


def test_columns_bring_levels_and_a_hierarchy_of_the_call_takes_their_place() -> None:
    x, y = np.random.default_rng(0).normal(size=(100, 4)), np.arange(100) % 5
    names = np.array(list("abcde"))[y]
    table = pd.DataFrame({"letter": names, "vowel": np.isin(names, ["a", "e"]).astype(str)})
    found = measure_encoder(None, x, table, which="cdnv")
    groups = {letter: str(letter in "ae") for letter in "abcde"}
    expected = measure_encoder(None, x, y, which="cdnv", hierarchy={
        str(i): groups[letter] for i, letter in enumerate("abcde")
    })  # fmt: skip
    assert found["level"].tolist() == ["fine", "vowel"]
    np.testing.assert_array_equal(found["value"], expected["value"])
    other = measure_encoder(
        None, x, table, which="cdnv", hierarchy={"all": ["a"], "rest": [*"bcde"]}
    )
    assert other["level"].tolist() == ["fine", "level1"]


def test_recordings_take_text_columns_and_levels_too() -> None:
    x, y = np.zeros((10, 3)), pd.concat([TABLE, TABLE], ignore_index=True)
    train, test = training_and_test(Labelled(x, y), Labelled(x[:5], TEXT), None, True, 0)
    assert train.about.hierarchy.names == ("fine", "kind")
    assert train.about.hierarchy.levels[0].class_names == ("cat", "dog", "oak")
    assert test.about.fine.tolist() == [2, 0, 1, 0, 2]
    plain, _ = training_and_test(Labelled(x, TEXT * 2), Labelled(x[:5], TEXT), None, True, 0)
    assert plain.about.hierarchy.levels[0].class_names == ("cat", "dog", "oak")
