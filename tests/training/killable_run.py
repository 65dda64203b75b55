"""Train one tiny run in folders named on standard input, each in a process that may be killed.

For every line, a folder, a child is forked (so that nothing has to be imported anew) that
trains there; its process number is printed at once, its exit status when it has ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch

from ssl_companion.data.hierarchy import GLYPHS100
from ssl_companion.data.images import ImageSet, fingerprint
from ssl_companion.training.config import LoopConfig, ObjectiveConfig, RunConfig
from ssl_companion.training.run import train

CONFIG = RunConfig(
    backbone="res-1-4",
    objective=ObjectiveConfig("byol"),  # the objective with the most to remember
    projector_width=8,
    data="glyphs100",
    epochs=30,  # 300 steps
    batch=4,
    precision="fp32",
)


def images() -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    fine = np.arange(40, dtype=np.int64) // 2
    files = np.array([f"noise_{i}.png" for i in range(40)])
    print_ = fingerprint(pixels, fine)
    return ImageSet("noise", "train", fine, files, print_, GLYPHS100, True, images=pixels)


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            loop = LoopConfig(device="cpu", checkpoint_steps=3, progress=False)
            train(CONFIG, images(), Path(line.strip()), loop)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
