"""Streams that depend on seed, purpose and position, and on nothing else."""

from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssl_companion.training.runtime import derived_seed, generator, random_states, set_random_states

purposes = st.text(max_size=12)
positions = st.lists(st.integers(0, 10**6), max_size=3)


@given(seed=st.integers(-(2**62), 2**62), purpose=purposes, position=positions)
def test_a_derived_seed_is_the_start_of_a_sha256(
    seed: int, purpose: str, position: list[int]
) -> None:
    text = repr((seed, purpose, tuple(position))).encode()
    expected = int(hashlib.sha256(text).hexdigest()[:16], 16) // 2
    assert derived_seed(seed, purpose, *position) == expected < 2**63


def test_a_stream_of_recordings_that_exist() -> None:
    # Another value here means that no run so far can be repeated.
    assert derived_seed(0, "views", 0) == 6626946588552527210


def test_streams_differ_by_seed_purpose_and_position() -> None:
    keys = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), (0, "a", 1), (0, "a", 0, 1)]
    first = {torch.rand(1, generator=generator(*key)).item() for key in keys}
    assert len(first) == len(keys)


def test_the_global_state_comes_back() -> None:
    states = random_states(torch.device("cpu"))
    assert states["cuda"] == []
    expected = torch.rand(3)
    set_random_states(states, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)


def test_of_many_cuda_devices_only_the_runs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    where = [torch.tensor([n], dtype=torch.uint8) for n in range(8)]
    cuda = [torch.device("cuda", n) for n in range(8)]
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: where[device.index])
    states = random_states(cuda[5])
    assert states["cuda"] == [where[5]]

    set_now: list[tuple[int, int]] = []

    def note(state: torch.Tensor, device: torch.device) -> None:
        set_now.append((state.item(), device.index))

    monkeypatch.setattr(torch.cuda, "set_rng_state", note)
    set_random_states(states, cuda[0])  # on a machine with one
    set_random_states(states | {"cuda": where[2:]}, cuda[1])  # as they were once saved: all
    set_random_states(states, torch.device("cpu"))
    assert set_now == [(5, 0), (2, 1)]
