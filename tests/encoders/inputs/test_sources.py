"""Images from any source: the same numbers as from arrays, each decoded once, faults in a line."""

from __future__ import annotations

import tracemalloc
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

from ssl_companion.encoders.encoding import encode
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.inputs.sources import image_folder, image_stream
from ssl_companion.encoders.running.runner import Runner

N, K = 60, 3
X = torch.randint(0, 256, (N, 3, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
Y = torch.arange(N) % K
NAMES = ("cat", "dog", "oak")


def flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def table(images: Any, labels: Any = None, **settings: Any) -> pd.DataFrame:
    return measure_encoder(flat, images, labels, which=("ncc", "cdnv"), batch=16, **settings)


class Rows(Dataset[Any]):
    """A map-style data set that counts how often each row is taken."""

    def __init__(self, row: Callable[[int], Any]) -> None:
        self.row, self.taken = row, [0] * N

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        self.taken[i] += 1
        return self.row(i)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return ((X[i], int(Y[i])) for i in range(N))


class HuggingFace:
    """As their data sets: rows are dictionaries, and the features know the classes' names."""

    features = {"image": None, "label": types.SimpleNamespace(names=list(NAMES))}  # noqa: RUF012

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"image": Image.fromarray(X[i].permute(1, 2, 0).numpy()), "label": int(Y[i])}


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    return zip(X.split(7), Y.split(7), strict=True)


SOURCES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "array": lambda: (X.numpy(), Y.numpy()),
    "loader": lambda: (DataLoader(TensorDataset(X, Y), batch_size=7),),
    "one worker": lambda: (DataLoader(TensorDataset(X, Y), batch_size=7, num_workers=1),),
    "images of a loader": lambda: (DataLoader(TensorDataset(X), batch_size=7), Y),
    "dataset": lambda: (TensorDataset(X, Y),),
    "images of a dataset": lambda: (Rows(lambda i: X[i].numpy()), Y),
    "loader of a stream": lambda: (DataLoader(Stream(), batch_size=7),),
    "rows of a stream": lambda: (Stream(),),
    "pairs": lambda: (list(batches()),),
    "generator": lambda: (batches(),),
    "triples": lambda: (((x, y, ["name"] * len(x)) for x, y in batches()),),
    "arrays and lists": lambda: (((x.numpy(), y.tolist()) for x, y in batches()),),
    "images of a generator": lambda: ((x for x, _ in batches()), Y.tolist()),
    "dictionaries": lambda: (({"pixel_values": x, "labels": y} for x, y in batches()),),
    "rows of Hugging Face": lambda: (HuggingFace(),),
    "batches of Hugging Face": lambda: ([
        {"image": [HuggingFace()[i]["image"] for i in some], "label": Y[some].tolist()}
        for some in torch.arange(N).split(7)
    ],),
    "other labels": lambda: (DataLoader(TensorDataset(X, Y * 0), batch_size=7), Y),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_gives_the_numbers_of_arrays(kind: str) -> None:
    found = table(*SOURCES[kind](), size=8)
    expected = table(X, Y)
    pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("kind", SOURCES)
def test_held_out_images_may_be_of_any_source(kind: str) -> None:
    images, *labels = SOURCES[kind]()
    held = {"test_images": images, "test_labels": labels[0] if labels else None}
    found = table(X[::2], Y[::2], **held, size=8)
    expected = table(X[::2], Y[::2], test_images=X, test_labels=Y)
    pd.testing.assert_frame_equal(found, expected)


def test_files_are_sources_too(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X.numpy())
    (tmp_path / "y.txt").write_text("\n".join(map(str, Y.tolist())))
    found = table(str(tmp_path / "x.npy"), tmp_path / "y.txt")
    pd.testing.assert_frame_equal(found, table(X, Y))


def test_every_row_of_a_data_set_is_taken_once() -> None:
    rows = Rows(lambda i: (X[i], int(Y[i])))
    table(rows)
    assert rows.taken == [1] * N


def test_features_of_streams_need_no_encoder() -> None:
    features, y = X.flatten(1).float(), Y
    loader = DataLoader(TensorDataset(features, y), batch_size=7)
    found = measure_encoder(None, loader, which="ncc")
    pd.testing.assert_frame_equal(found, measure_encoder(None, features, y, which="ncc"))


def test_a_loader_that_shuffles_has_its_own_labels_in_another_order() -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=7, shuffle=True)
    held = {"test_images": X, "test_labels": Y}
    found, expected = table(loader, **held), table(X, Y, **held)
    rows = ~expected["level"].isin(["permuted"])
    np.testing.assert_allclose(found["value"][rows], expected["value"][rows], rtol=1e-4)
    with pytest.raises(ValueError, match=r"labels: given beside a DataLoader that shuffles"):
        table(loader, Y)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_stream_says_how_many_images_there_are(drop_last: bool) -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=7, drop_last=drop_last)
    stream = image_stream(loader, "images")
    assert stream.total == sum(map(len, stream)) == len(stream.labels)
    assert image_stream(DataLoader(Stream(), batch_size=7), "images").total is None
    sampler = torch.utils.data.SubsetRandomSampler([1, 2, 3])
    few = image_stream(DataLoader(TensorDataset(X, Y), batch_size=2, sampler=sampler), "images")
    assert few.total == sum(map(len, few)) == 3


def test_names_of_classes_that_a_data_set_knows_are_those_of_levels_and_of_other_numbers() -> None:
    rows = Rows(lambda i: (X[i], int(Y[i])))
    rows.classes = list(NAMES)  # type: ignore[attr-defined]
    groups = {"cat": "animal", "dog": "animal", "oak": "plant"}
    found = table(rows, hierarchy=groups)
    pd.testing.assert_frame_equal(found, table(HuggingFace(), hierarchy=groups, size=8))
    stacked = table(X, [NAMES[i] for i in Y], hierarchy=groups)
    alike = stacked[stacked["level"] != "looks-level1"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, alike)
    # The same images with classes numbered otherwise.
    other = Rows(lambda i: (X[i], 2 - int(Y[i])))
    other.classes = list(NAMES[::-1])  # type: ignore[attr-defined]
    expected = table(rows, test_images=X, test_labels=Y, hierarchy=groups)
    pd.testing.assert_frame_equal(table(rows, test_images=other, hierarchy=groups), expected)
    names = [NAMES[i] for i in Y]
    found = table(rows, test_images=X, test_labels=names, hierarchy=groups)
    pd.testing.assert_frame_equal(found, expected)


def test_a_memory_map_is_read_in_pieces_and_features_are_not_copied_at_all(tmp_path: Path) -> None:
    n = 2000
    path, y = tmp_path / "images.npy", np.arange(n) % 2
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(n, 3, 64, 64))
    written[:, 0, 0, 0] = y
    written.flush()
    mapped = np.load(path, mmap_mode="r")
    sizes: list[int] = []

    def encoder(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return x.mean(dim=(2, 3))

    tracemalloc.start()
    found = encode(Runner(encoder, batch=50), Labelled(mapped, y), Labelled(None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [50] * (n // 50)
    assert peak < mapped.nbytes / 10
    assert found.train["output"].shape == (n // 2, 3)
    np.save(tmp_path / "features.npy", np.random.default_rng(0).normal(size=(n, 5)))
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    both = encode(Runner(None), Labelled(features, y), Labelled(None))
    for rows in (both.train["features"], both.test["features"]):
        assert rows.features.data_ptr() == features.ctypes.data


def pictures(root: Path) -> None:
    """Of many modes and sizes, in two classes of three each."""
    rng = np.random.default_rng(0)
    modes = ("RGB", "L", "RGBA", "P", "1", "CMYK")
    for i, mode in enumerate(modes):
        shape = (int(rng.integers(20, 60)), int(rng.integers(20, 60)), 3)
        picture = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).convert(mode)
        folder = root / ("bee", "ant")[i % 2]
        folder.mkdir(exist_ok=True, parents=True)
        picture.save(folder / f"{i}.{'jpg' if mode == 'CMYK' else 'PNG'}")
    (root / "ant" / "notes.txt").write_text("no picture")
    (root / "ant" / "._0.png").write_text("hidden")
    (root / ".cache").mkdir()
    (root / ".cache" / "0.png").write_text("hidden")


@pytest.mark.parametrize("batch", [2, 4, 100])
def test_a_folder_of_pictures_is_what_torchvision_makes_of_it(tmp_path: Path, batch: int) -> None:
    pictures(tmp_path)
    transform = Compose([Resize(24), CenterCrop(24), PILToTensor()])
    shown = lambda p: "/." not in p and not p.endswith(".txt")  # noqa: E731
    theirs = ImageFolder(tmp_path, transform, is_valid_file=shown, allow_empty=True)
    stream = image_folder(tmp_path, size=24, batch=batch)
    images = torch.cat(list(stream))  # type: ignore[arg-type]
    torch.testing.assert_close(images, torch.stack([x for x, _ in theirs]), rtol=0, atol=0)
    assert stream.labels == [theirs.classes[i] for i in theirs.targets]
    assert (stream.total, stream.branches, images.dtype) == (6, None, torch.uint8)


def test_a_folder_is_measured_as_its_arrays(tmp_path: Path) -> None:
    pictures(tmp_path)
    stream = image_folder(tmp_path, size=16)
    images = torch.cat(list(stream))  # type: ignore[arg-type]
    expected = table(images, stream.labels, test_images=images, test_labels=stream.labels)
    pd.testing.assert_frame_equal(table(tmp_path, size=16, test_images=str(tmp_path)), expected)
    default = next(iter(image_stream(tmp_path, "images")))
    assert default.shape[1:] == (3, 224, 224)


def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path) -> None:
    deep = (np.arange(256, dtype=np.uint16) * 256 + 7).reshape(16, 16)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Image.fromarray(deep).save(tmp_path / name / "deep.png")
    found = next(iter(image_folder(tmp_path, size=16)))
    np.testing.assert_array_equal(found[0], np.broadcast_to(deep >> 8, (3, 16, 16)))


def test_folders_in_folders_are_levels(tmp_path: Path) -> None:
    places = ("animal/pet/cat", "animal/pet/dog", "animal/wild/wolf", "plant/oak", "plant/other")
    places = (*places, "animal/wild/other")
    for i, place in enumerate(places):
        (tmp_path / place).mkdir(parents=True)
        for j in range(2):
            Image.new("RGB", (9, 9), (30 * i, 9 * j, 0)).save(tmp_path / place / f"{j}.png")
    given = Labelled(tmp_path)  # type: ignore[arg-type]
    found = encode(Runner(flat), given, Labelled(None), size=8)
    assert found.names == ("animal/wild/other", "cat", "dog", "oak", "plant/other", "wolf")
    assert found.hierarchy is not None
    fine, middle, top = found.hierarchy.levels
    assert fine.class_names == found.names
    assert top.class_names == ("animal", "plant")
    assert top.of_fine.tolist() == [0, 0, 0, 1, 1, 0]
    groups = [middle.class_names[i] for i in middle.of_fine]
    assert groups == ["wild", "pet", "pet", "oak", "plant/other", "wild"]
    levels = table(tmp_path, size=8)["level"]
    assert set(levels) == {"fine", "level1", "level2", "random-level1", "random-level2", "permuted"}
    own = table(tmp_path, [i // 4 for i in range(12)], size=8)
    assert set(own["level"]) == {"labels", "permuted"}, "other labels have other levels"


def broken() -> Iterator[Any]:
    yield X[:4], Y[:4]
    raise KeyError("column 'label'\nis absent")


def odd_sizes() -> Iterator[Any]:
    yield torch.zeros(3, 8, 8), 0
    yield torch.zeros(3, 8, 9), 1


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (broken, None, r"^images\[1\]: failed \(KeyError: .*absent.*\); expected images and their"),
        (lambda: DataLoader(Rows(lambda i: X[i // (i < 30)]), num_workers=1), None,
         r"^images\[30\]: failed \(ZeroDivisionError: .*by zero\); expected"),
        (odd_sizes, None, r"^images: images of shapes \(3, 8, 8\), \(3, 8, 9\); expected one size"),
        (lambda: [(X[:4], Y[:3])], None, r"^images: a batch of 4 images with labels of shape \(3,"),
        (lambda: [{"picture": X, "label": Y}], None, r"^images\[0\]: .* 'picture', 'label'; exp"),
        (lambda: Rows(lambda i: ("cat.png", 1)), None, "^images: str as an image; expected an ar"),
        (lambda: Rows(lambda i: ()), None, r"^images\[0\]: an empty tuple; expected images and la"),
        (lambda: TensorDataset(X), None, "^labels: None; expected integers"),
        (lambda: iter([]), None, "^images: no batch of images; expected one or more"),
        (lambda: Path("nowhere"), None, "^nowhere: no such folder; expected a sub-folder for each"),
        (lambda: Path("nowhere.npy"), Y, r"^nowhere.npy: cannot be read \(No such file"),
        (lambda: {"image": X, "label": Y}, None, "^images: dict; expected an array or tensor"),
        (lambda: [X[0], X[1]], Y, "^images: list; expected an array or tensor"),
        (lambda: zip(X.split(7), (Y + 1).split(7), strict=True), None, "numbered from 0 without"),
        (lambda: zip(X.split(7), [*(Y + 0.5).split(7)], strict=True), None, "^labels: dtype torch"),
        (lambda: [(X, [*"ab"] * 29 + ["c", "d"])], None, "^labels: class 2 has a single image"),
        (lambda: [(X, ["a", 1] * 30)], None, r"^labels\[1\]: 1; expected labels of one kind"),
    ],
)  # fmt: skip
def test_sources_that_will_not_do_end_in_one_line(
    images: Callable[[], Any], labels: Any, message: str
) -> None:
    with pytest.raises((ValueError, RuntimeError), match=message) as caught:
        table(images(), labels)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no picture in its sub-folders; expected a sub-folder for each class"),
        (b"", r"a/0.png: cannot be read as a picture \(cannot identify .*; expected a whole one"),
        (b"half", r"a/0.png: cannot be read as a picture \(.*; expected a whole one; replace"),
    ],
)
def test_damaged_pictures_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    if content is None:
        picture.save(tmp_path / "beside.png")
    else:
        for name in "ab":
            (tmp_path / name).mkdir()
            for i in range(2):
                picture.save(tmp_path / name / f"{i}.png")
        whole = (tmp_path / "a" / "0.png").read_bytes()
        (tmp_path / "a" / "0.png").write_bytes(whole[:2000] if content else content)
    with pytest.raises(ValueError, match=message) as caught:
        table(tmp_path)
    assert "\n" not in str(caught.value)


def test_splits_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        pictures(tmp_path / split)
    with pytest.raises(ValueError, match=r"folders called train, val; expected classes; give one"):
        table(tmp_path)
    table(tmp_path / "train", test_images=tmp_path / "val", size=8)


def test_labels_known_beforehand_are_checked_before_an_encoder_runs(tmp_path: Path) -> None:
    def never(x: Tensor) -> Tensor:
        raise AssertionError("the encoder ran")

    pictures(tmp_path)
    for images, settings, message in (
        (X, {"labels": 2 * Y}, "without gaps"),
        (X, {"labels": Y, "hierarchy": {"cat": "animal"}}, "no place for class '0'"),
        (X, {"labels": [0, 0, 1] + [0] * (N - 3)}, "class 1 has a single image"),
        (tmp_path, {"hierarchy": {"bee": "bug", "beetle": "bug"}}, "no place for class 'ant'"),
        (tmp_path, {"test_images": X, "test_labels": ["ant", "wasp"] * 30}, "'wasp' is none of"),
    ):
        with pytest.raises(ValueError, match=message):
            measure_encoder(never, images, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["meta", "inference"])
def test_a_folder_is_the_same_in_any_state_of_torch(tmp_path: Path, state: str) -> None:
    pictures(tmp_path)
    expected = torch.cat(list(image_folder(tmp_path, size=16)))  # type: ignore[arg-type]
    rows = HuggingFace()
    with (
        torch.device("meta" if state == "meta" else "cpu"),
        torch.inference_mode(state == "inference"),
    ):
        found = torch.cat(list(image_folder(tmp_path, size=16)))  # type: ignore[arg-type]
        stacked = next(iter(image_stream(rows, "images", size=8)))  # type: ignore[arg-type]
    assert torch.equal(found, expected)
    assert torch.equal(stacked, X)
