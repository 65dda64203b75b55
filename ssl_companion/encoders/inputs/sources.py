"""Images from wherever they come: a DataLoader, a data set, a folder of pictures, any batches.

All of them become an `ImageStream`, which gives one batch of images after the other and keeps
their labels as they go by, so that nothing is decoded twice and never all images are in memory.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
)

from ssl_companion.data import ImageSet
from ssl_companion.data.errors import DataError
from ssl_companion.encoders.inputs.files import read_features
from ssl_companion.errors import CompanionError
from ssl_companion.io.extras import needs
from ssl_companion.measures import _checks

#: Whatever `image_stream` takes, and arrays.
ImageSource = (
    ImageSet | np.ndarray | Tensor | DataLoader[Any] | Dataset[Any] | Iterable[Any] | str | Path
)
SIZE = 224
#: What dictionaries of images and labels call them, as those of Hugging Face do.
_IMAGE_KEYS = ("image", "images", "img", "pixel_values")
_LABEL_KEYS = ("label", "labels", "fine_label", "target")
_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
_PICTURES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class SourceError(CompanionError, RuntimeError):
    """A DataLoader, a data set or an iterable failed; the message says at what batch or row.

    Example:
        >>> def broken():
        ...     yield torch.zeros(2, 3, 8, 8), [0, 1]
        ...     raise OSError("no such file")
        >>> try:
        ...     list(image_stream(broken(), "images"))
        ... except SourceError as error:
        ...     print(str(error).partition(";")[0])
        images[1]: failed (OSError: no such file)
    """


class _Item(NamedTuple):
    """What one step of a source gives: a batch, or one image.

    Attributes:
        images: [n, ...], or one [...], or a picture of PIL, or a list of such.
        labels: of these; None where the source has none.
        single: whether it is one image.
    """

    images: Any
    labels: Any
    single: bool


class ImageStream:
    """Batches of images [n, ...], whose labels are kept as they go by.

    Example:
        >>> pairs = [(torch.zeros(2, 3, 8, 8), [0, 1]), (torch.ones(1, 3, 8, 8), [1])]
        >>> stream = image_stream(pairs, "images")
        >>> [len(batch) for batch in stream], stream.labels
        ([2, 1], array([0, 1, 1]))

    Attributes:
        name: what messages call it.
        total: how many images there are, where that is known beforehand.
        labels: of the images [N], those of a folder from the start, of other sources once they
            have been gone through; None where there are none.
        names: of the classes that integer labels are the numbers of, where the source knows them.
        branches: of a folder, for each class the folders that lead to it, as a hierarchy; None of
            other sources, and where no folder is in another.
        files: of a folder, the pictures in their order; none of other sources.
    """

    def __init__(
        self,
        batches: Callable[[], Iterator[tuple[Any, Any]]],
        name: str,
        *,
        total: int | None = None,
        labels: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        branches: list[tuple[str, ...]] | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        self.name, self.total, self.names, self.branches = name, total, names, branches
        self.files = files
        self._batches = batches
        self._known, self._gathered = labels, list[Any]()

    def __iter__(self) -> Iterator[np.ndarray | Tensor]:
        self._gathered = []
        for images, labels in self._batches():
            if labels is not None and np.shape(labels)[:1] != (len(images),):
                shape = np.shape(labels)
                raise ValueError(
                    f"{self.name}: a batch of {len(images)} images with labels of shape {shape}; "
                    "expected one label for each image"
                )
            self._gathered.append(labels)
            yield images

    @property
    def labels(self) -> Any:
        """Labels of the images [N], as far as they are known."""
        parts = self._gathered
        if self._known is not None or not parts or any(part is None for part in parts):
            return self._known
        if all(isinstance(part, np.ndarray) for part in parts):
            return np.concatenate(parts)
        rows = list(itertools.chain.from_iterable(parts))
        return rows if any(isinstance(row, str) for row in rows) else np.array(rows)


def image_stream(
    source: Any, name: str, *, batch: int = 256, size: int = SIZE
) -> ImageStream | np.ndarray | None:
    """A stream of what a source gives; None of arrays, tensors and what is no source of images.

    Example:
        >>> rows = [{"image": np.zeros((3, 8, 8)), "label": name} for name in ("cat", "dog")]
        >>> stream = image_stream(iter(rows), "images")
        >>> [tuple(images.shape) for images in stream], stream.labels
        ([(2, 3, 8, 8)], ['cat', 'dog'])

    Args:
        source: a `DataLoader`; a map-style `Dataset`, of torch or of Hugging Face; the path of a
            folder with a sub-folder for each class (see `image_folder`), or of a file of
            `read_features`; or any iterable of batches or of images, each with or without labels:
            `(images, labels)`, or a dictionary such as `{"image": ..., "label": ...}`. What
            follows in a longer tuple is left alone. Pictures of PIL become bytes of one size.
        name: what messages call it.
        batch: so many single images make a batch.
        size: height and width of pictures, in pixels.

    Returns:
        A stream, or the array of a file.

    Raises:
        DataError: a path that holds no such folder or file.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        folder = path.is_dir() or not path.suffix
        return image_folder(path, name, batch=batch, size=size) if folder else read_features(source)
    if isinstance(source, ImageStream):
        return source
    items: Callable[[], Iterable[Any]]
    if isinstance(source, DataLoader):
        items, total, single = lambda: source, _of_loader(source), False
    elif _is_map_style(source):
        items, total, single = (
            lambda: map(source.__getitem__, range(len(source))),
            len(source),
            True,
        )
    elif _is_iterable(source):
        items, total, single = lambda: source, None, False
    else:
        return None

    def batches() -> Iterator[tuple[Any, Any]]:
        found = (_item(one, f"{name}[{i}]", single) for i, one in enumerate(_each(items, name)))
        return _batched(found, name, batch, size)

    dataset = source.dataset if isinstance(source, DataLoader) else source
    return ImageStream(batches, name, total=total or None, names=_class_names(dataset))


def image_folder(
    folder: str | Path, name: str = "images", *, batch: int = 256, size: int = SIZE
) -> ImageStream:
    """A folder with a sub-folder of pictures for each class, as torchvision's `ImageFolder` has it.

    A class is called as its folder is, and its labels are such names. Folders in folders, as
    `animal/pet/cat/1.jpg`, are levels of groups above the classes. (`ImageFolder` takes
    the outermost ones for the classes.) Pictures of any kind and size become red, green and blue
    bytes as by torchvision: the shorter side is resized to `size`, with antialiasing, and the
    middle is cut out. Hidden files and folders are left out.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("cat", "dog"):
        ...         Path(root, name).mkdir()
        ...         Image.new("L", (40, 30)).save(Path(root, name, "grey.png"))
        ...     stream = image_folder(root, size=16)
        ...     [tuple(images.shape) for images in stream], stream.labels
        ([(2, 3, 16, 16)], ['cat', 'dog'])

    Args:
        folder: with pictures in its sub-folders, sorted by their paths.
        name: what messages call the images.
        batch: pictures at a time.
        size: height and width of what they become, in pixels.

    Raises:
        DataError: no such folder, no picture in a sub-folder; as it is read, a damaged picture.
        MissingExtraError: Pillow or torchvision is not installed.
    """
    root = Path(folder)
    files = _pictures_below(root)
    if not files:
        there = "no picture in its sub-folders" if root.is_dir() else "no such folder"
        raise DataError(
            f"{there};", path=root,
            mend=f"expected a sub-folder for each class, with files in {', '.join(_PICTURES)}",
        )  # fmt: skip
    splits = sorted({file.relative_to(root).parts[0] for file in files})
    if len(splits) > 1 and {split.lower() for split in splits} <= _SPLITS:
        raise DataError(
            f"folders called {', '.join(splits)};", path=root,
            mend="expected classes; give one folder as the images, such as `PATH/train`, and "
            "another as the test images (`test_images`, or `--data` and `--test-data`)",
        )  # fmt: skip
    places = [file.parent.relative_to(root).parts for file in files]
    called = Counter(place[-1] for place in set(places))
    titles = {place: place[-1] if called[place[-1]] == 1 else "/".join(place) for place in places}
    branches = [(*place[:-1], title) for place, title in titles.items()]

    def batches() -> Iterator[tuple[Tensor, None]]:
        with ThreadPoolExecutor(_threads()) as pool:  # Pillow lets other threads run meanwhile
            ahead: deque[Iterator[Tensor]] = deque()
            for start in range(0, len(files), batch):
                some = files[start : start + batch]
                ahead.append(pool.map(lambda file: read_picture(file, size), some))
                if len(ahead) > 1:  # one batch is decoded while the one before it is used
                    yield torch.stack(list(ahead.popleft())), None
            yield from ((torch.stack(list(pictures)), None) for pictures in ahead)

    return ImageStream(
        batches,
        name,
        total=len(files),
        files=files,
        labels=[titles[place] for place in places],
        branches=branches if any(len(branch) > 1 for branch in branches) else None,
    )


def resized(picture: Any, size: int) -> Tensor:
    """A picture of PIL as bytes of red, green and blue: uint8 [3, size, size].

    Example:
        >>> from PIL import Image
        >>> resized(Image.new("L", (40, 30), color=255), 16).float().mean()
        tensor(255.)

    Args:
        picture: of any mode and size; 16 bits keep their upper eight, and transparency is dropped.
        size: the shorter side is resized to it, with antialiasing, and the middle is cut out.
    """
    with needs("train"):
        from PIL import Image
        from torchvision.transforms import functional

    if picture.mode.startswith("I"):
        deep = np.asarray(picture).clip(0, 2**16 - 1) >> 8
        picture = Image.fromarray(deep.astype(np.uint8))
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")
    rgb = functional.resize(picture.convert("RGB"), size, antialias=True)
    # Copied by NumPy: torchvision's own way leads to torch's default device, whatever it is.
    return torch.from_numpy(np.array(functional.center_crop(rgb, size)).transpose(2, 0, 1))


def read_picture(file: Path, size: int) -> Tensor:
    """A file as `resized` makes it.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Image.new("L", (40, 30)).save(f"{root}/grey.png")
        ...     read_picture(Path(root, "grey.png"), 16).shape
        torch.Size([3, 16, 16])

    Raises:
        DataError: it cannot be read as a picture.
    """
    with needs("train"):
        from PIL import Image
    try:
        with Image.open(file) as picture:
            return resized(picture, size)
    except CompanionError:
        raise
    except Exception as error:  # of whatever kind a damaged file ends in
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DataError(
            f"cannot be read as a picture ({reason});", path=file,
            mend="expected a whole one; replace the file, or take it away",
        ) from error  # fmt: skip


def _pictures_below(root: Path) -> list[Path]:
    """Files in sub-folders, in the order of their paths."""
    found = []
    for place, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if Path(place) != root:
            found += [Path(place, name) for name in sorted(files) if not name.startswith(".")]
    return [file for file in found if file.suffix.lower() in _PICTURES]


def _threads() -> int:
    own = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    return min(16, len(own))


def _of_loader(loader: DataLoader[Any]) -> int | None:
    """How many images a DataLoader gives, where that can be known."""
    sampler, step = loader.sampler, loader.batch_size
    if step is None or not isinstance(sampler, Sized):
        return None
    return len(sampler) // step * step if loader.drop_last else len(sampler)


def shuffles(source: Any) -> bool:
    """Whether a DataLoader may give its images in another order than its data set has them, so that
    no list of labels fits it.

    Example:
        >>> shuffles(DataLoader([1, 2, 3], shuffle=True)), shuffles(DataLoader([1, 2, 3]))
        (True, False)
    """
    if not isinstance(source, DataLoader) or isinstance(source.dataset, IterableDataset):
        return False
    in_order = isinstance(source.sampler, SequentialSampler)
    plain = source.batch_sampler is None or type(source.batch_sampler) is BatchSampler
    return not (in_order and plain)


def _is_map_style(source: Any) -> bool:
    """Whether it has images by their number: a data set of torch, or of Hugging Face."""
    by_number = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    if isinstance(source, Dataset):
        return by_number and not isinstance(source, IterableDataset)
    other = isinstance(source, list | tuple | Mapping | bytes | np.ndarray | Tensor)
    return by_number and not other and not hasattr(source, "__array__")


def _is_iterable(source: Any) -> bool:
    if isinstance(source, list | tuple):  # of pairs; others may be images, or anything
        first = source[0] if source else None
        return isinstance(first, Mapping) or (
            isinstance(first, tuple | list) and len(first) > 1 and hasattr(first[0], "shape")
        )
    other = isinstance(source, Mapping | bytes | np.ndarray | Tensor | set)
    return isinstance(source, Iterable) and not other and not hasattr(source, "__array__")


def _each(items: Callable[[], Iterable[Any]], name: str) -> Iterator[Any]:
    """What somebody's source gives; what it raises is said with the place."""
    at, iterator = 0, None
    while True:
        try:
            iterator = iter(items()) if iterator is None else iterator
            found = next(iterator)
        except StopIteration:
            return
        except CompanionError:
            raise
        except Exception as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            # Of a worker's error a trace comes first, and the error last.
            said = lines[-1].removeprefix(f"{type(error).__name__}: ")[:200] if lines else ""
            raise SourceError(
                f"{name}[{at}]: failed ({type(error).__name__}: {said}); expected images and their "
                "labels; a `collate_fn` or a transform of the data set can make such"
            ) from error
        yield found
        at += 1


def _item(given: Any, name: str, single: bool) -> _Item:
    """Images and labels of whatever form one step of a source has."""
    if isinstance(given, Mapping):
        image = next((key for key in _IMAGE_KEYS if key in given), None)
        if image is None:
            raise ValueError(
                f"{name}: a dictionary of {', '.join(map(repr, given))}; expected one with "
                f"'image' and 'label'; pairs such as `(row[KEY], row[LABEL])` do as well"
            )
        label = next((key for key in _LABEL_KEYS if key in given), None)
        images, labels = given[image], None if label is None else given[label]
    elif isinstance(given, tuple | list):
        if not given:
            raise ValueError(f"{name}: an empty {type(given).__name__}; expected images and labels")
        images, labels = given[0], given[1] if len(given) > 1 else None
    else:
        images, labels = given, None
    alone = single or _is_picture(images) or (labels is not None and np.ndim(_bare(labels)) == 0)
    return _Item(images, _bare(labels), alone)


def _bare(labels: Any) -> Any:
    return labels.detach().cpu().numpy() if isinstance(labels, Tensor) else labels


def _batched(items: Iterable[_Item], name: str, batch: int, size: int) -> Iterator[tuple[Any, Any]]:
    """Batches as they are, and single images in batches."""
    for alone, run in itertools.groupby(items, key=lambda item: item.single):
        if not alone:
            for images, labels, _ in run:
                yield _stacked(images, name, size) if isinstance(images, list) else images, labels
            continue
        while rows := list(itertools.islice(run, batch)):
            labels = [row.labels for row in rows]
            unlabelled = any(label is None for label in labels)
            yield _stacked([row.images for row in rows], name, size), None if unlabelled else labels


def _stacked(images: Sequence[Any], name: str, size: int) -> Tensor:
    """Single images as one batch."""
    rows = [resized(one, size) if _is_picture(one) else one for one in images]
    if unfit := [one for one in rows if not isinstance(one, np.ndarray | Tensor)]:
        raise ValueError(
            f"{name}: {type(unfit[0]).__name__} as an image; expected an array, a tensor or a "
            "picture of PIL; a transform of the data set can make such"
        )
    shapes = dict.fromkeys(tuple(one.shape) for one in rows)
    if len(shapes) > 1:
        raise ValueError(
            f"{name}: images of shapes {', '.join(map(str, list(shapes)[:3]))}; expected one size; "
            "torchvision's `Resize` and `CenterCrop` make one"
        )
    return torch.stack([_checks.as_tensor(one, name) for one in rows])


def _is_picture(value: Any) -> bool:
    """Of PIL, without waiting for it to be imported."""
    return hasattr(value, "mode") and hasattr(value, "convert") and hasattr(value, "getbands")


def _class_names(dataset: Any) -> Sequence[str] | None:
    """Names of the classes in the order of their numbers, as torchvision and Hugging Face keep."""
    names = getattr(dataset, "classes", None)
    features = getattr(dataset, "features", None)
    if names is None and isinstance(features, Mapping):
        found = (getattr(features.get(key), "names", None) for key in _LABEL_KEYS)
        names = next((one for one in found if one), None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    return names if len(set(names)) == len(names) else None
