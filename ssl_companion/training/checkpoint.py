"""Checkpoints that are whole or refused.

A checkpoint file is a magic word, the SHA-256 of the rest, and what `torch.save` wrote. It
lands by temporary file, fsync and rename; the last two are kept. Loading admits tensors and
plain types only (`weights_only`), so that a foreign file cannot run code.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
from pathlib import Path
from typing import Any

import torch

from ssl_companion.errors import CompanionError
from ssl_companion.io.atomic import atomic_file

_MAGIC = b"SSLCKPT1"
_NAME = re.compile(r"step-(\d{9})\.ckpt")
CHECKPOINTS_KEPT = 2


class CheckpointError(CompanionError, RuntimeError):
    """A checkpoint that cannot be used; the message names the file, the reason and a way out."""


def checkpoint_paths(folder: str | Path) -> list[Path]:
    """The checkpoints in `folder`, oldest step first; files by other names do not count."""
    found = [path for path in Path(folder).glob("step-*.ckpt") if _NAME.fullmatch(path.name)]
    return sorted(found)


def save_checkpoint(folder: str | Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` (tensors and plain types) as the checkpoint of `step`; keep the last two.

    Raises:
        CheckpointError: the disk is full or the folder is not writable. The checkpoints that
            stood there before still do.
    """
    path = Path(folder) / f"step-{step:09d}.ckpt"
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    for leftover in Path(folder).glob(".step-*.tmp"):  # of a process that was killed writing it
        leftover.unlink(missing_ok=True)
    try:
        with atomic_file(path) as temporary, open(temporary, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(payload).digest())
            file.write(payload)
    except OSError as error:
        raise CheckpointError(
            f"{path}: could not be written ({error}); free {len(payload) / 2**20:.0f} MiB there or "
            "choose another folder. Earlier checkpoints are intact."
        ) from error
    for old in checkpoint_paths(folder)[:-CHECKPOINTS_KEPT]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: str | Path, digest: str, device: torch.device) -> dict[str, Any]:
    """Read a checkpoint back.

    Args:
        path: the file.
        digest: of the configuration that wants to resume (`RunConfig.digest`).
        device: where tensors go.

    Raises:
        CheckpointError: truncated or altered, foreign, or of another configuration.
    """
    path = Path(path)
    data = path.read_bytes()
    head, payload = data[: len(_MAGIC) + 32], data[len(_MAGIC) + 32 :]
    if head[: len(_MAGIC)] != _MAGIC:
        raise CheckpointError(f"{path}: not a checkpoint of this package; move it elsewhere")
    if hashlib.sha256(payload).digest() != head[len(_MAGIC) :]:
        raise CheckpointError(
            f"{path}: truncated or altered (its SHA-256 does not fit); delete it to resume from "
            "the checkpoint before it, or from the start if there is none"
        )
    try:
        loaded = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds something else than tensors and plain types ({error}); it was not "
            "made by this package, move it elsewhere"
        ) from error
    state: dict[str, Any] = loaded
    if state["digest"] != digest:
        raise CheckpointError(
            f"{path}: made with another configuration (digest {state['digest'][:12]}, this one "
            f"is {digest[:12]}); give this run another name or folder, or restore its configuration"
        )
    return state


def latest_checkpoint(folder: str | Path) -> Path | None:
    """The newest checkpoint in `folder`, or None."""
    paths = checkpoint_paths(folder)
    return paths[-1] if paths else None
