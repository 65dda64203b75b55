"""Checkpoints are whole or refused, and writing one never harms another."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssl_companion.io import atomic
from ssl_companion.training.checkpoint import (
    CHECKPOINTS_KEPT,
    CheckpointError,
    checkpoint_paths,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

from ..conftest import small_disk
from .conftest import CPU, assert_same_bits

DIGEST = hashlib.sha256(b"a configuration").hexdigest()


def state(step: int = 0, digest: str = DIGEST) -> dict[str, Any]:
    g = torch.Generator().manual_seed(step)
    filters = torch.randn((4, 3, 2, 2), generator=g)
    return {
        "digest": digest,
        "step": step,
        "learner": {
            "filters": filters.contiguous(memory_format=torch.channels_last),
            "half": filters.bfloat16(),
            "count": torch.tensor(step),
        },
        "teacher": None,
        "history": [{"epoch": 1, "total": 0.1 + step}],
        "names": ["total", "variance"],
        "random": torch.get_rng_state(),
    }


def sealed(payload: bytes) -> bytes:
    """A file whose magic word and checksum are right, whatever it holds."""
    return b"SSLCKPT1" + hashlib.sha256(payload).digest() + payload


def test_round_trip(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "new", 7, state(7))
    assert path == latest_checkpoint(tmp_path / "new") == tmp_path / "new" / "step-000000007.ckpt"
    assert_same_bits(load_checkpoint(path, DIGEST, CPU), state(7))


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    assert CHECKPOINTS_KEPT == 2
    for step in (5, 10, 999, 1000, 12345):
        save_checkpoint(tmp_path, step, state(step))
    assert [p.name for p in checkpoint_paths(tmp_path)] == [
        "step-000001000.ckpt",
        "step-000012345.ckpt",
    ]
    assert_same_bits(load_checkpoint(checkpoint_paths(tmp_path)[0], DIGEST, CPU), state(1000))


def test_files_by_other_names_do_not_count_and_stay(tmp_path: Path) -> None:
    for name in ("step-7.ckpt", "step-000000009.ckpt.bak", "notes.txt", "step-abcdefghi.ckpt"):
        (tmp_path / name).write_text("mine")
    assert latest_checkpoint(tmp_path) is latest_checkpoint(tmp_path / "absent") is None
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, state(step))
    assert len(list(tmp_path.iterdir())) == 4 + CHECKPOINTS_KEPT


def test_what_a_killed_process_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    leftover = tmp_path / ".step-000000003.ckpt.abc123.tmp"
    leftover.write_bytes(b"half")
    assert latest_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, 3, state(3))
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000003.ckpt"]


# --- damaged and foreign files -----------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_checkpoint(tmp_path_factory.mktemp("whole"), 1, state(1)).read_bytes()


on_bytes = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@on_bytes
@given(data=st.data())
def test_a_truncated_checkpoint_is_refused(
    tmp_path: Path, whole: bytes, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(whole[:length])
    with pytest.raises(CheckpointError, match=r"step-000000001\.ckpt: (truncated|not a check)"):
        load_checkpoint(path, DIGEST, CPU)


@on_bytes
@given(data=st.data(), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed(
    tmp_path: Path, whole: bytes, data: st.DataObject, bit: int
) -> None:
    position = data.draw(st.integers(0, len(whole) - 1))
    altered = bytearray(whole)
    altered[position] ^= 1 << bit
    path = tmp_path / "step-000000001.ckpt"
    path.write_bytes(altered)
    with pytest.raises(CheckpointError, match=r"(truncated or altered|not a checkpoint)"):
        load_checkpoint(path, DIGEST, CPU)


class Malicious:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("with_torch", [True, False])
def test_a_foreign_file_runs_no_code(tmp_path: Path, with_torch: bool) -> None:
    path, target = tmp_path / "step-000000001.ckpt", tmp_path / "made"
    content = {"digest": DIGEST, "learner": Malicious(target)}
    if with_torch:
        torch.save(content, tmp_path / "plain")
        payload = (tmp_path / "plain").read_bytes()
    else:
        payload = pickle.dumps(content)
    path.write_bytes(sealed(payload))
    with pytest.raises(CheckpointError, match="something else than tensors and plain types"):
        load_checkpoint(path, DIGEST, CPU)
    assert not target.exists()


def test_foreign_files_and_those_of_another_configuration_are_refused(tmp_path: Path) -> None:
    torch.save(state(1), tmp_path / "step-000000009.ckpt")
    with pytest.raises(CheckpointError, match="not a checkpoint of this package"):
        load_checkpoint(tmp_path / "step-000000009.ckpt", DIGEST, CPU)
    path = save_checkpoint(tmp_path, 1, state(1, digest="f" * 64))
    with pytest.raises(CheckpointError, match=f"ffffffffffff, this one is {DIGEST[:12]}"):
        load_checkpoint(path, DIGEST, CPU)


# --- disks that fail ---------------------------------------------------------------------


def two_good_ones(folder: Path) -> None:
    for step in (1, 2):
        save_checkpoint(folder, step, state(step))


def assert_good_ones_stand(folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == [
        "step-000000001.ckpt",
        "step-000000002.ckpt",
    ]
    for step, path in zip((1, 2), checkpoint_paths(folder), strict=True):
        assert_same_bits(load_checkpoint(path, DIGEST, CPU), state(step))


@pytest.mark.parametrize("room", [0, 20, 1000])
@pytest.mark.parametrize("step", [2, 3])  # in the place of one that stands, and beside them
def test_a_disk_that_fills_up_while_writing(tmp_path: Path, room: int, step: int) -> None:
    two_good_ones(tmp_path)
    with small_disk(room), pytest.raises(CheckpointError, match="Earlier checkpoints are intact"):
        save_checkpoint(tmp_path, step, state(99))
    assert_good_ones_stand(tmp_path)
    save_checkpoint(tmp_path, 3, state(3))
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000000003.ckpt"


def test_a_disk_that_is_found_full_by_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_good_ones(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left on device\); free \d+ MiB"):
        save_checkpoint(tmp_path, 3, state(3))
    assert_good_ones_stand(tmp_path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="could not be written"):
        save_checkpoint(tmp_path / "file" / "checkpoints", 1, state(1))
