"""Ours beside what a user would pick instead: turn by turn in one process, compared by medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

Contestants = Mapping[str, Callable[[], object]]

OURS = "ours"


@dataclass
class Results:
    """What was measured so far.

    Attributes:
        ratios: seconds of each of the others over ours (below 1: the other is faster), by task.
    """

    ratios: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, task: str, seconds: Mapping[str, list[float]]) -> None:
        """Take note of a task's rounds, and print its line."""
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        ours = medians.pop(OURS)
        self.ratios[task] = {name: median / ours for name, median in medians.items()}
        print(f"{task:34}" + "  ".join(f"{n} {r:.2f}" for n, r in self.ratios[task].items()),
              flush=True)  # fmt: skip

    def summary(self) -> str:
        """Where another one was faster than ours, the fastest of them."""
        behind = []
        for task, ratios in self.ratios.items():
            name = min(ratios, key=lambda other: ratios[other])
            if ratios[name] < 1:
                behind.append(f"{task}: {name} {ratios[name]:.2f}")
        return f"Not first: {'; '.join(behind)}" if behind else "First everywhere."


def seconds_of(contestants: Contestants, rounds: int, device: str = "cpu"
               ) -> dict[str, list[float]]:  # fmt: skip
    """Seconds of each round: of the processor on a CPU, where other work takes turns with ours,
    and by the clock on a GPU. What else the machine does falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            took = _seconds(run, device)
            if number:  # the first warms up
                found[name].append(took)
    return found


def _seconds(run: Callable[[], object], device: str) -> float:
    if device == "cpu":
        start = time.process_time()
        run()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def size_in_words(*numbers: int) -> str:
    """Such as "(100k, 250, 5000)"."""

    def words() -> Iterator[str]:
        for number in numbers:
            for unit, letter in ((10**6, "M"), (10**3, "k")):
                if number >= 10 * unit or (number == unit and unit > 1000):
                    yield f"{number // unit}{letter}"
                    break
            else:
                yield str(number)

    return f"({', '.join(words())})"
