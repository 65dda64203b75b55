"""Train one tiny run in folders named on standard input, each in a process that may be killed.

For every line, a folder, a child is forked (so that nothing has to be imported anew) that
trains there; its process number is printed at once, its exit status when it has ended.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from tiny import noise_images, tiny_config

from ssl_companion.training.config import LoopConfig
from ssl_companion.training.run import train

# BYOL has the most to remember; 300 steps.
CONFIG = tiny_config("byol", epochs=30, batch=4)


def main() -> None:
    torch.set_num_threads(1)
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            loop = LoopConfig(device="cpu", checkpoint_steps=3, progress=False)
            train(CONFIG, noise_images(40), Path(line.strip()), loop)
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
