"""The clock: one answer for all processes, after about half a second or a few steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import torch

from ssl_companion.training import trainer
from ssl_companion.training.config import LoopConfig
from ssl_companion.training.trainer import Clock

from .conftest import CPU


class Together:
    """Two processes whose clocks a test turns; a vote by one is answered for the other."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int = 2) -> None:
        self.now, self.votes = 0.0, 0
        self.other: list[float] = [False, False, 0.0, False]
        monkeypatch.setattr(trainer, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(trainer, "world", lambda: (0, size))
        monkeypatch.setattr(trainer, "largest", self.largest)

    def largest(self, values: Sequence[float], device: torch.device) -> list[float]:
        self.votes += 1
        return [max(mine, other) for mine, other in zip(values, self.other, strict=True)]

    def steps(self, clock: Clock, n: int, seconds: float) -> list[tuple[bool, bool]]:
        """What the clock says after each of n steps of so many seconds."""
        seen = []
        for _ in range(n):
            self.now += seconds
            seen.append(clock.look())
        return seen


Pair = Callable[..., Together]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Pair:
    return lambda **options: Together(monkeypatch, **options)


@pytest.mark.parametrize(("seconds", "least", "most"), [(2.0, 100, 100), (0.1, 20, 22),
                                                       (0.001, 2, 4), (0.0, 2, 4)])  # fmt: skip
def test_votes_are_few_where_steps_are_fast(
    pair: Pair, seconds: float, least: int, most: int
) -> None:
    both = pair()
    both.steps(Clock(LoopConfig(), CPU), 100, seconds)
    assert least <= both.votes <= most


def test_the_slowest_process_sets_the_pace(pair: Pair) -> None:
    both = pair()
    both.other[2] = 0.25
    both.steps(Clock(LoopConfig(), CPU), 100, 0.001)
    assert both.votes == 1 + 99 // 2


def test_all_stop_and_save_when_one_of_them_would(pair: Pair) -> None:
    both = pair()
    mine = Clock(LoopConfig(minutes=1, checkpoint_minutes=1), CPU)
    assert not any(map(any, both.steps(mine, 10, 0.1)))
    both.other[0] = True
    assert (True, False) in both.steps(mine, 5, 0.1)
    both.other[:2] = [False, True]
    assert (False, True) in both.steps(mine, 5, 0.1)
    assert not mine.interrupted
    both.other[:] = [False, False, 0.0, True]
    assert (True, False) in both.steps(mine, 5, 0.1), "Ctrl-C in one process is for all"
    assert mine.interrupted


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.3, 4.0])
def test_it_stops_within_a_second_or_a_step(pair: Pair, seconds: float) -> None:
    both = pair()
    seen = both.steps(Clock(LoopConfig(minutes=0.5), CPU), int(40 / seconds), seconds)
    late = seconds * (1 + [stop for stop, _ in seen].index(True)) - 30
    assert 0 <= late + 1e-6 < max(1.0, 1.5 * seconds)


def test_a_vote_that_is_asked_for(pair: Pair) -> None:
    both = pair()
    mine = Clock(LoopConfig(), CPU)
    both.steps(mine, 3, 0.001)
    before = both.votes
    both.other[0] = True
    assert both.steps(mine, 1, 0.001) == [(False, False)]
    assert both.votes == before
    assert mine.look(always=True) == (True, False)


def test_alone_it_looks_after_every_step(pair: Pair) -> None:
    alone = pair(size=1)
    mine = Clock(LoopConfig(minutes=0.1, checkpoint_minutes=0.05), CPU)
    seen = alone.steps(mine, 60, 0.125)
    assert [stop for stop, _ in seen].index(True) == 47
    assert [due for _, due in seen].index(True) == 23
    assert alone.votes == 60


def test_a_checkpoint_is_due_so_long_after_the_last(pair: Pair) -> None:
    alone = pair(size=1)
    mine = Clock(LoopConfig(checkpoint_minutes=0.05), CPU)
    for _ in range(3):
        seen = alone.steps(mine, 4, 1.0)
        assert seen == [(False, False)] * 2 + [(False, True)] * 2
        mine.saved()
