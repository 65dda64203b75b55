"""Features and labels from files of every kind: the same arrays; others end in one line."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_companion.encoders.inputs.files import Place, read_features, read_labels
from ssl_companion.io.extras import MissingExtraError

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 3
NAMES = np.array(["cat", "dog", "NA"])[Y]
TABLE = pd.DataFrame(X, columns=["a", "b", "c"])
LABELLED = TABLE.assign(file="x.png", name=NAMES, kind=np.where(Y < 2, "pet", "none"), number=Y)

WRITERS: dict[str, Callable[[Path], Any]] = {
    "x.npy": lambda p: np.save(p, X),
    "fortran.npy": lambda p: np.save(p, np.asfortranarray(X)),
    "x.npz": lambda p: np.savez_compressed(p, x=X),
    "x.npz:x": lambda p: np.savez(p, x=X, y=Y),
    "x.pt": lambda p: torch.save(torch.from_numpy(X), p),
    "old.pt": lambda p: torch.save(
        torch.from_numpy(X), p, _use_new_zipfile_serialization=False
    ),
    "x.pth": lambda p: torch.save({"x": torch.from_numpy(X), "epoch": 3}, p),
    "x.pt:x": lambda p: torch.save({"x": torch.from_numpy(X), "y": torch.from_numpy(Y)}, p),
    "gradient.pt": lambda p: torch.save(torch.from_numpy(X).requires_grad_(), p),
    "x.safetensors": lambda p: safetensors.torch.save_file({"x": torch.from_numpy(X)}, p),
    "x.safetensors:x": lambda p: safetensors.torch.save_file(
        {"x": torch.from_numpy(X), "y": torch.from_numpy(Y)}, p
    ),
    "x.parquet": lambda p: TABLE.to_parquet(p),
    "named.parquet:a,b,c": lambda p: LABELLED[["number", "c", "b", "a"]].to_parquet(p),
    "lists.parquet": lambda p: pd.DataFrame({"file": NAMES, "vector": list(X)}).to_parquet(p),
    "lists.parquet:vector": lambda p: pd.DataFrame({"id": Y, "vector": list(X)}).to_parquet(p),
    "words.csv": lambda p: TABLE.assign(file=NAMES).to_csv(p, index=False),
    "index.csv": lambda p: TABLE.to_csv(p),
    "numbers.csv": lambda p: np.savetxt(p, X, delimiter=",", fmt="%.9g"),
    "pandas.csv": lambda p: pd.DataFrame(X).to_csv(p, index=False),
    "x.tsv": lambda p: TABLE.to_csv(p, sep="\t", index=False),
    "x.CSV": lambda p: TABLE.to_csv(p, index=False),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_features(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name.partition(":")[0])
    found = read_features(tmp_path / name)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, X, rtol=1e-6)
    assert read_features(str(tmp_path / name)).shape == X.shape


def test_numpy_files_and_those_of_torch_are_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    assert isinstance(read_features(tmp_path / "x.npy"), np.memmap)
    torch.save(torch.from_numpy(X), tmp_path / "x.pt")
    mapped = read_features(tmp_path / "x.pt")
    with (tmp_path / "x.pt").open("r+b") as file:  # another number on the disk is seen at once
        at = file.read().index(X.tobytes())
        file.seek(at)
        file.write(np.float32(7.0).tobytes())
    assert mapped[0, 0] == 7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.uint8])
def test_types_that_numpy_lacks_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    x = torch.arange(12).reshape(4, 3).to(dtype)
    torch.save(x, tmp_path / "x.pt")
    safetensors.torch.save_file({"x": x}, tmp_path / "x.safetensors")
    for name in ("x.pt", "x.safetensors"):
        found = read_features(tmp_path / name)
        np.testing.assert_array_equal(found, np.arange(12).reshape(4, 3))
        assert found.dtype == (np.float32 if dtype == torch.bfloat16 else x[:0].numpy().dtype)


LABEL_WRITERS: dict[str, Callable[[Path], Any]] = {
    "y.npy": lambda p: np.save(p, NAMES),
    "y.txt": lambda p: p.write_text("\n".join(NAMES) + "\n"),
    "y.csv": lambda p: pd.DataFrame({"name": NAMES}).to_csv(p, index=False),
    "index.csv": lambda p: pd.Series(NAMES, name="name").to_csv(p),
    "all.csv:name": lambda p: LABELLED.to_csv(p, index=False),
    "all.parquet:name": lambda p: LABELLED.to_parquet(p),
    "y.npz": lambda p: np.savez(p, y=NAMES),
}


@pytest.mark.parametrize("name", LABEL_WRITERS)
def test_every_kind_of_file_gives_the_same_labels(tmp_path: Path, name: str) -> None:
    LABEL_WRITERS[name](tmp_path / name.partition(":")[0])
    assert np.asarray(read_labels(tmp_path / name)).tolist() == NAMES.tolist()


@pytest.mark.parametrize(
    ("name", "write"),
    [("y.npy", lambda p: np.save(p, Y)), ("y.pt", lambda p: torch.save(torch.from_numpy(Y), p)),
     ("y.txt", lambda p: p.write_text("\n".join(map(str, Y)))),
     ("y.csv", lambda p: np.savetxt(p, Y, fmt="%d")),
     ("y.safetensors", lambda p: safetensors.torch.save_file({"y": torch.from_numpy(Y)}, p))],
)  # fmt: skip
def test_labels_that_are_integers_stay_integers(tmp_path: Path, name: str, write: Any) -> None:
    write(tmp_path / name)
    found = read_labels(tmp_path / name)
    assert isinstance(found, np.ndarray)
    assert found.dtype.kind == "i"
    np.testing.assert_array_equal(found, Y)


def test_several_columns_are_a_table_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    LABELLED.to_parquet(path)
    found = read_labels(f"{path}:kind,name")
    pd.testing.assert_frame_equal(found, LABELLED[["kind", "name"]])
    features = read_features(path, without=["number", "absent"])
    np.testing.assert_array_equal(features, X)
    assert read_features(path).shape == (12, 4)


#: A line of spaces is no label.
TEXT = st.text("abc é:,\"'/#", min_size=1, max_size=8).filter(str.strip)


@given(st.lists(TEXT, min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_labels_survive_tables_of_text(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("labels") / "y.csv"
    pd.DataFrame({"label": texts}).to_csv(path, index=False)
    assert np.asarray(read_labels(path)).tolist() == texts


def test_a_name_is_parted_from_a_path_only_behind_a_known_ending(tmp_path: Path) -> None:
    assert Place.of("C:/features") == (Path("C:/features"), ())
    assert Place.of("C:/x.npz:train") == (Path("C:/x.npz"), ("train",))
    odd = tmp_path / "x.npy:1.npy"
    np.save(odd, X)
    np.testing.assert_array_equal(read_features(odd), X)


class Danger:
    """Unpickled, it leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_ever_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    objects = np.array([Danger(trace)] * 3, object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=objects)
    torch.save(Danger(trace), tmp_path / "a.pt")
    torch.save({"x": Danger(trace)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("b.npy", "b.npz", "b.pt", "b.pth", "b.safetensors", "b.parquet", "b.csv", "b.txt"):
        (tmp_path / name).write_bytes(pickle.dumps(Danger(trace)))
    for path in sorted(tmp_path.iterdir()):
        for read in (read_features, read_labels):
            with pytest.raises(ValueError, match="expected") as caught:
                read(path)
            assert str(caught.value).startswith(str(path))
            assert "pickle" not in str(caught.value).lower(), "nobody is told to load it unsafely"
            assert "weights_only" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("x.npy", None, r"cannot be read \(No such file or directory\); expected a file; check"),
        ("x.h5", None, r"a file ending in '.h5'; expected one of .npy, .npz"),
        ("x", None, r"a file ending in ''; expected one of .npy"),
        ("x.npy", lambda p: p.mkdir(), r"cannot be read as .npy \(Is a directory\)"),
        ("x.npy:a", lambda p: np.save(p, X), "holds a single array; expected no 'a' after"),
        ("x.npz", lambda p: np.savez(p, a=X, b=X), r"holds several arrays \(a, b\); expected"),
        ("x.npz:c", lambda p: np.savez(p, a=X, b=X), "holds no array 'c'; expected one of a, b"),
        ("x.npz:a,b", lambda p: np.savez(p, a=X, b=X), "2 names are given; expected one of a, b"),
        ("x.npz", lambda p: np.savez(p), "holds no array"),
        ("x.npy", lambda p: np.save(p, NAMES), "numbers of type <U3; expected real numbers"),
        ("x.npy", lambda p: np.save(p, X + 1j), "numbers of type complex64; expected real numbers"),
        ("x.pt", lambda p: torch.save([1, 2], p), "holds list; expected a tensor, or a dictionary"),
        ("x.pt", lambda p: torch.save({"epoch": 3}, p), "holds no tensor; expected one"),
        ("x.pt", lambda p: torch.save(torch.nn.Linear(2, 2), p), "holds objects of Python, or"),
        ("x.pt", lambda p: torch.save(torch.nn.Linear(2, 2).state_dict(), p),
         r"holds several tensors \(weight, bias\)"),
        ("x.csv:d", lambda p: TABLE.to_csv(p), "has no column 'd'; expected one of"),
        ("x.csv:a,name", lambda p: LABELLED.to_csv(p), "column 'name' is not of numbers; expected"),
        ("x.csv", lambda p: LABELLED[["name"]].to_csv(p, index=False), "has no numbers; expected"),
        ("x.csv", lambda p: p.write_text("a,b\n"), "a table without a row; expected a row"),
        ("x.csv", lambda p: p.write_text('a,b\n1,2\n1,2,3,"4\n'), "cannot be read as .csv"),
        ("x.parquet", lambda p: pd.DataFrame({"v": [[1.0], [1.0, 2.0]]}).to_parquet(p),
         "column 'v': all input arrays must have the same shape; expected lists of one length"),
        ("x.parquet", lambda p: pd.DataFrame({"v": list(X), "w": list(X)}).to_parquet(p),
         r"has several columns of lists \(v, w\)"),
        ("y.txt", lambda p: p.write_text("a\n\nb\n"), "line 2 is empty; expected a label in"),
        ("y.txt", lambda p: p.write_bytes(b"\xff\xfe"), r"cannot be read as .txt \('utf-8' codec"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said_in_one_line(
    tmp_path: Path, name: str, write: Any, message: str
) -> None:
    path = tmp_path / name.partition(":")[0]
    if write is not None:
        write(path)
    with pytest.raises(ValueError, match=message) as caught:
        (read_labels if name == "y.txt" else read_features)(tmp_path / name)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.pt", "x.safetensors", "x.parquet"])
@pytest.mark.parametrize("damage", ["empty", "half", "text", "swapped"])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    path = tmp_path / name
    WRITERS[name](path)
    whole = path.read_bytes()
    path.write_bytes({
        "empty": b"", "half": whole[: len(whole) // 2], "text": b"1, 2, 3\n",
        "swapped": whole[len(whole) // 2 :] + whole[: len(whole) // 2],
    }[damage])  # fmt: skip
    way = "expected a file with an array" if damage == "empty" else "; write it again by `"
    for read in (read_features, read_labels):
        with pytest.raises(ValueError, match=way) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_parquet_without_pyarrow_says_what_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TABLE.to_parquet(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pyarrow is not installed; `pip install"):
        read_features(tmp_path / "x.parquet")
