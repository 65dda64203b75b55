"""Recordings of images from any source: what arrays give, epoch by epoch, and what is refused."""

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
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.data.errors import DataError
from ssl_companion.encoders.inputs.labelled import Labelled
from ssl_companion.encoders.inputs.samples import RepeatedStream, training_and_test
from ssl_companion.encoders.inputs.sources import SourceError, image_stream
from ssl_companion.encoders.record import record_encoder
from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.recordings import MeasureConfig, OccupiedError, Recording, open_recording

N, K = 48, 4
X = torch.randint(0, 256, (N, 3, 4, 4), dtype=torch.uint8, generator=torch.manual_seed(0))
Y = torch.arange(N) % K
NAMES = ("bee", "cat", "elm", "oak")
PLACES = ("animal/bee", "animal/cat", "plant/elm", "plant/oak")
CHEAP = MeasureConfig(keep="all", probes=False)


@pytest.fixture(autouse=True)
def _no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes longer than what is recorded here."""
    known = {"commit": None, "clean": False}
    monkeypatch.setattr("ssl_companion.io.provenance.git_commit", lambda: known)


def flat(x: Tensor) -> Tensor:
    return x.flatten(1)


def doubled(x: Tensor) -> Tensor:
    return 2 * x.flatten(1)


def record(place: Path, images: Any, labels: Any = None, **settings: Any) -> Recording:
    given = {"config": CHEAP, "batch": 7, "progress": False} | settings
    encoders = {0: flat, 3: doubled}
    return record_encoder(encoders, images, labels, destination=place, **given)


def same(one: Recording, other: Recording) -> None:
    """Every value, and the features that are kept, to the last bit."""
    pd.testing.assert_frame_equal(one.measures, other.measures, check_exact=True)
    first, second = (load_file(r.path / "features.safetensors") for r in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for split in ("train", "test"):
        np.testing.assert_array_equal(one.fine(split), other.fine(split))


class Rows(Dataset[Any]):
    """A map-style data set that counts how often each row is taken."""

    def __init__(self) -> None:
        self.taken = [0] * N

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        self.taken[i] += 1
        return X[i], int(Y[i])


class Stream(IterableDataset[Any]):
    """Its images in their order; fewer of them the next time, if that is asked for."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    def __iter__(self) -> Iterator[Any]:
        n = self.sizes.pop(0) if self.sizes else N
        return ((X[i % N], int(Y[i % N])) for i in range(n))


class HuggingFace:
    """As their data sets: rows are dictionaries, and the features know the classes' names."""

    features = {"label": types.SimpleNamespace(names=list(NAMES))}  # noqa: RUF012

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"image": Image.fromarray(X[i].permute(1, 2, 0).numpy()), "label": int(Y[i])}


def npy(root: Path) -> str:
    np.save(root / "x.npy", X.numpy())
    return str(root / "x.npy")


SOURCES: dict[str, Callable[[Path], tuple[Any, ...]]] = {
    "loader": lambda _: (DataLoader(TensorDataset(X, Y), batch_size=5),),
    "labels beside": lambda _: (DataLoader(TensorDataset(X, Y * 0), batch_size=5), Y),
    "images alone": lambda _: (DataLoader(TensorDataset(X), batch_size=5), Y.tolist()),
    "loader of a stream": lambda _: (DataLoader(Stream(), batch_size=5),),
    "data set": lambda _: (Rows(),),
    "Hugging Face": lambda _: (HuggingFace(),),
    "pairs": lambda _: (list(zip(X.numpy().reshape(8, 6, 3, 4, 4), Y.view(8, 6), strict=True)),),
    "file": lambda root: (npy(root), Y),
    "memory map": lambda root: (np.load(npy(root), mmap_mode="r"), Y),
    "tensor": lambda _: (X, Y),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_is_recorded_as_the_array_of_its_images(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)
    mine = record(tmp_path / "mine", *source, size=4)
    same(mine, record(tmp_path / "array", X.numpy(), Y.numpy()))
    assert mine.epochs == (0, 3)
    assert mine.class_counts.tolist() == [N // K // 2] * K
    names = NAMES if kind == "Hugging Face" else tuple(f"class {i}" for i in range(K))
    assert mine.hierarchy.levels[0].class_names == names


@pytest.mark.parametrize("kind", SOURCES)
def test_held_out_images_may_be_of_any_source(kind: str, tmp_path: Path) -> None:
    images, *labels = SOURCES[kind](tmp_path)
    held = {"test_images": images, "test_labels": labels[0] if labels else None}
    mine = record(tmp_path / "mine", X[::3], Y[::3], **held, size=4)
    arrays = {"test_images": X, "test_labels": Y}
    same(mine, record(tmp_path / "array", X[::3], Y[::3], **arrays))
    assert mine.files("test")[0] == "test image 0"


def pictures(root: Path) -> Path:
    """The same images as files, by class in folders of groups."""
    for i in range(N):
        place = root / PLACES[Y[i]]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[i].permute(1, 2, 0).numpy()).save(place / f"{i:02}.png")
    return root


def test_a_folder_brings_labels_levels_and_names(tmp_path: Path) -> None:
    folder, order = pictures(tmp_path / "pictures"), torch.argsort(Y, stable=True)
    mine = record(tmp_path / "mine", folder, size=4)
    levels = dict(zip(NAMES, ("animal", "animal", "plant", "plant"), strict=True))
    names = [NAMES[i] for i in Y[order]]
    same(mine, record(tmp_path / "array", X[order], names, hierarchy=levels))
    assert mine.hierarchy.levels[1].class_names == ("animal", "plant")
    files = [*mine.files("train"), *mine.files("test")]
    assert sorted(files) == sorted(f"{PLACES[Y[i]]}/{i:02}.png" for i in range(N))
    own = record(tmp_path / "own", str(folder), Y[order] % 2, size=4)
    assert own.hierarchy.names == ("fine",), "other labels have other levels"
    stream = Labelled(image_stream(folder, "images", size=4), names=range(N))  # type: ignore[arg-type]
    assert set(record(tmp_path / "named", stream).files("test")) <= set(map(str, range(N)))


def test_every_image_is_taken_once_for_every_epoch_and_once_before(tmp_path: Path) -> None:
    rows = Rows()
    recorder = EncoderRecorder(rows, destination=tmp_path / "mine", config=CHEAP)
    assert rows.taken == [1] * N
    for epoch in range(3):
        recorder(epoch, flat)
    assert rows.taken == [4] * N


def test_features_of_a_stream_need_no_encoder(tmp_path: Path) -> None:
    features = X.flatten(1).float()
    loader = DataLoader(TensorDataset(features, Y), batch_size=5)
    given = {"config": CHEAP, "progress": False}
    mine = record_encoder(None, loader, destination=tmp_path / "mine", **given)
    same(mine, record_encoder(None, features, Y, destination=tmp_path / "array", **given))
    narrow = {"test_images": features[:, :5], "test_labels": Y}
    with pytest.raises(ValueError, match=r"^test_images: 5 dimensions of 'features' .*expected 48"):
        record_encoder(None, loader, destination=tmp_path / "other", **narrow)


def test_a_folder_is_gone_on_with_and_another_refused(tmp_path: Path) -> None:
    folder, place = pictures(tmp_path / "pictures"), tmp_path / "mine"

    def begin(**other: Any) -> EncoderRecorder:
        given = {"images": folder, "destination": place, "config": CHEAP, "size": 4} | other
        return EncoderRecorder(**given)

    begin()(0, flat)
    again = begin(batch=5)  # however many at a time
    assert again.epochs == (0,)
    again(3, doubled)
    again.finish()
    same(open_recording(place), record(tmp_path / "whole", folder, size=4))
    for other in ({"size": 5}, {"seed": 1}, {"labels": [i // 12 for i in range(N)]}):
        with pytest.raises(OccupiedError, match="holds another recording"):
            begin(**other)
    changed = Image.new("RGB", (4, 4), "red")
    changed.save(folder / PLACES[3] / "47.png")
    with pytest.raises(OccupiedError, match=r"data.train_fingerprint is .*of the same images"):
        begin()


def test_pixels_of_every_half_and_their_order_are_in_its_fingerprint() -> None:
    def prints(x: Tensor, y: Tensor, seed: int = 0) -> list[str]:
        pairs = Labelled(DataLoader(TensorDataset(x, y), batch_size=5))
        sides = training_and_test(pairs, Labelled(None), None, False, seed)
        return [side.about.fingerprint for side in sides]

    first = prints(X, Y)
    assert first == prints(X, Y)
    changed = [prints(X.flip(0), Y), prints(X, Y.flip(0)), prints(X.float(), Y), prints(X, Y, 1)]
    changed.append(prints(X.view(N, 3, 2, 8), Y))
    assert len({tuple(found) for found in (first, *changed)}) == 6


def test_training_draws_the_same_random_numbers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    loader = DataLoader(TensorDataset(X, Y), batch_size=5)  # each pass draws a seed
    recorder = EncoderRecorder(loader, destination=tmp_path / "mine", config=CHEAP)
    recorder(0, flat)
    assert torch.equal(torch.get_rng_state(), state)


class Crops(Rows):
    def __getitem__(self, i: int) -> Any:
        return X[i].roll(sum(self.taken) // N, dims=1), super().__getitem__(i)[1]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (lambda: iter([(X, Y)]), r"^images: list_iterator, which gives its images only once; exp.*"
         "DataLoader"),
        (lambda: (pair for pair in [(X, Y)]), "^images: generator, which gives"),
        (lambda: DataLoader(TensorDataset(X, Y), shuffle=True),
         "^images: a DataLoader that shuffles.*`shuffle=False`"),
        (lambda: DataLoader(TensorDataset(X, Y), sampler=RandomSampler(range(N))),
         "^images: a DataLoader that shuffles, or has a sampler"),
        (lambda: DataLoader(TensorDataset(X)), "^labels: None; expected integers"),
        (lambda: DataLoader([]), "^images: none at all; expected one or more"),
        (lambda: [(torch.zeros(2), [0, 1])], r"^images\[0\]: shape \(2,\); expected an array or"),
        (lambda: Stream(N, N - 1), "^images: 47, and 48 the first time; expected the same ones"),
        (lambda: Stream(N, 2 * N), "^images: 49 or more, and 48 the first time; expected"),
        (lambda: Crops(), "^images: begin with another image than the first time; expected"),
        (lambda: image_stream(iter([(X, Y)]), "images"), "^images: 0, and 48 the first time; expe"),
    ],
)  # fmt: skip
def test_a_source_that_will_not_do_is_refused(
    images: Callable[[], Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        record(tmp_path / "mine", images(), batch=1)
    assert list(tmp_path.iterdir()) == []
    held = said.replace("^images", "^test_images").replace("^labels", "^test_labels")
    if "images: 0, and" not in said:  # a stream has its name already
        with pytest.raises(ValueError, match=held):
            record(tmp_path / "mine", X, Y, test_images=images(), batch=1)


def test_views_are_of_an_array_and_errors_of_a_source_keep_their_kind(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(X, Y), batch_size=5)
    with pytest.raises(ValueError, match=r"^sample_views: .*expected an array of bytes, uint8"):
        record(tmp_path / "mine", loader, sample_views=ViewConfig())
    with pytest.raises(SourceError, match=r"^images\[1\]: failed \(OSError: gone\)"):
        record(tmp_path / "mine", Breaks())
    folder = pictures(tmp_path / "pictures")
    recorder = EncoderRecorder(folder, destination=tmp_path / "mine", config=CHEAP, size=4)
    (folder / PLACES[0] / "00.png").unlink()
    with pytest.raises(DataError, match=r"00\.png: cannot be read as a picture"):
        recorder(0, flat)
    for name in ("batch", "size"):
        with pytest.raises(ValueError, match=f"^{name}: 0; expected"):
            record(tmp_path / "mine", loader, **{name: 0})


class Breaks:
    def __iter__(self) -> Iterator[Any]:
        yield X, Y
        raise OSError("gone")


def test_halves_of_a_memory_map_and_of_a_stream_are_no_copies(tmp_path: Path) -> None:
    big = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (400, 3, 128, 128))
    y = np.arange(400) % 2
    images = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = [(images[i : i + 20], y[i : i + 20]) for i in range(0, 400, 20)]
    tracemalloc.start()
    for given in (Labelled(images, y), Labelled(batches)):
        training_and_test(given, Labelled(None), None, False, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * big.nbytes, "a chunk of 256 rows, or 20, not all 400"


def test_a_repeated_stream_is_known_by_its_images_and_not_by_its_batches() -> None:
    def repeated(step: int) -> RepeatedStream:
        loader = DataLoader(TensorDataset(X, Y), batch_size=step)
        return RepeatedStream(image_stream(loader, "images"))  # type: ignore[arg-type]

    five, nine = repeated(5), repeated(9)
    assert five.digest == nine.digest
    assert (len(five), five.shape) == (N, (N, 3, 4, 4))
    assert torch.equal(torch.cat(list(five)), X)  # type: ignore[arg-type]
