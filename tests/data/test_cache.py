from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_companion.data import CacheError, DataError, cache, cifar100, load
from ssl_companion.data.images import Decoded, in_canonical_order

from .conftest import make_fake, same_images


@pytest.fixture
def decoded(fake: Any) -> Decoded:
    return in_canonical_order(fake.images, fake.fine, fake.names)


def never() -> Decoded:
    raise AssertionError("the cache was to be used")


Found = tuple[Decoded, str]


def same(found: Found, decoded: Decoded) -> bool:
    names = ("images", "fine", "files")
    return all(np.array_equal(getattr(found[0], n), getattr(decoded, n)) for n in names)


def test_built_once_and_mapped_after_that(tmp_path: Path, decoded: Decoded) -> None:
    folder = tmp_path / "a" / "train-0"
    built = cache.load_or_build(folder, lambda: decoded)
    again = cache.load_or_build(folder, never)
    assert same(built, decoded)
    assert same(again, decoded)
    assert again[1] == built[1]
    images = again[0].images
    assert isinstance(images, np.memmap)
    assert images.flags.c_contiguous
    for array in (images, again[0].fine, again[0].files):
        assert not array.flags.writeable
    assert sorted(p.name for p in folder.iterdir()) == [
        "files.npy",
        "fine.npy",
        "images.npy",
        "meta.json",
    ]


@pytest.mark.parametrize("name", ["images.npy", "fine.npy", "files.npy", "meta.json"])
@pytest.mark.parametrize("fault", ["flip", "truncate", "empty", "delete", "lengthen"])
def test_damage_is_seen_and_mended(tmp_path: Path, decoded: Decoded, name: str, fault: str) -> None:
    folder = tmp_path / "train-0"
    cache.write_split(folder, decoded)
    path = folder / name
    content = bytearray(path.read_bytes())
    stamps = path.stat()
    if fault == "flip":  # one bit in the middle, with size and date as before
        content[len(content) // 2] ^= 1
    elif fault == "truncate":
        del content[len(content) * 2 // 3 :]
    elif fault == "empty":
        content.clear()
    elif fault == "lengthen":
        content += b"x"
    if fault == "delete":
        path.unlink()
    else:
        path.write_bytes(content)
        os.utime(path, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    found = cache.read_split(folder)
    harmless = fault == "lengthen" and name != "meta.json"  # what counts is there, unchanged
    if not harmless:
        assert found is None or (name == "meta.json" and same(found, decoded))
    assert same(cache.load_or_build(folder, lambda: decoded), decoded)
    assert same(cache.load_or_build(folder, lambda: decoded), decoded)


def test_a_format_of_another_version_is_built_again(tmp_path: Path, decoded: Decoded) -> None:
    folder = tmp_path / "train-0"
    cache.write_split(folder, decoded)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": cache.CACHE_FORMAT + 1}))
    assert cache.read_split(folder) is None


def test_errors_leave_nothing(
    tmp_path: Path, decoded: Decoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c" / "train-0"

    def fail() -> Decoded:
        raise DataError("no good", path="some file")

    save = np.save

    def full(path: Path, array: np.ndarray, **options: Any) -> None:
        if path.name == "files.npy":
            raise OSError(28, "No space left on device")
        save(path, array, **options)

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match="some file: no good"):
        cache.load_or_build(folder, fail)
    with pytest.raises(CacheError, match=r"No space left.*SSL_COMPANION_CACHE") as caught:
        cache.load_or_build(folder, lambda: decoded)
    assert str(folder) in str(caught.value)
    assert [p.name for p in folder.parent.iterdir() if p.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_a_folder_is_refused(tmp_path: Path, decoded: Decoded) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="cannot be written"):
        cache.load_or_build(tmp_path / "file" / "train-0", lambda: decoded)


def test_leftovers_of_killed_processes_go_after_a_day(tmp_path: Path, decoded: Decoded) -> None:
    old, young = tmp_path / ".train-1.abc.tmp", tmp_path / ".train-2.def.tmp"
    for leftover in (old, young):
        leftover.mkdir()
        (leftover / "images.npy").write_bytes(b"half")
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    cache.load_or_build(tmp_path / "train-0", lambda: decoded)
    assert not old.exists()
    assert young.exists()


def test_the_cache_lies_where_the_variable_or_the_system_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_COMPANION_CACHE", "~/somewhere")
    assert cache.cache_root() == Path.home() / "somewhere"
    monkeypatch.delenv("SSL_COMPANION_CACHE")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache.cache_root() == tmp_path / "ssl-companion"


# --- several processes

LOADER = """
import sys
from ssl_companion.data import cifar100, load
cifar100.SPLIT_MD5["train"] = sys.argv[2]
images = load(root=sys.argv[1])
print(images.fingerprint, len(images), int(images.images[-1].sum()))
"""


def loader(folder: Path) -> list[str]:
    md5 = cifar100.SPLIT_MD5["train"]
    return [sys.executable, "-W", "ignore", "-c", LOADER, str(folder), md5]


def decoded_folders(cache_folder: Path) -> list[Path]:
    return [p for p in (cache_folder / "decoded" / "cifar100").iterdir() if p.is_dir()]


@pytest.mark.slow
def test_processes_that_load_at_once_agree(
    make_unpacked: Callable[..., Path], surroundings: Path
) -> None:
    command = loader(make_unpacked(make_fake(4000)))
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(5)
    ]
    answers = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * 5, answers
    assert len({out for out, _ in answers}) == 1
    assert len(decoded_folders(surroundings)) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*images, CIFAR-100")
def test_a_load_killed_at_any_moment_does_no_harm(
    make_unpacked: Callable[..., Path], surroundings: Path
) -> None:
    big = make_fake(8000)
    root = make_unpacked(big)
    start = time.monotonic()
    subprocess.run(loader(root), check=True, capture_output=True)
    duration = time.monotonic() - start
    (folder,) = decoded_folders(surroundings)
    chance = random.Random(1)
    for _ in range(8):
        (folder / "meta.json").unlink(missing_ok=True)  # so that it is built again
        process = subprocess.Popen(
            loader(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.3, 1.0) * duration)
        process.kill()
        process.wait()
        found = cache.read_split(folder)
        assert found is None or len(found[0].fine) == 8000
    assert same_images(load(root=root), big)


def test_a_user_without_a_home_is_told_which_variable_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(cache.CACHE_VARIABLE, raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: "~nobody-of-that-name/cache")
    with pytest.raises(CacheError, match=r"(?s)cannot be told.*Set SSL_COMPANION_CACHE"):
        cache.cache_root()
