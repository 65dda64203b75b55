"""Which runs may be compared: a recording at one scale has the name of that at the other."""

from __future__ import annotations

from typing import Any

from ssl_companion.recordings import Recording


def alike(one: Recording, other: Recording, *, but: tuple[str, ...] = ()) -> bool:
    """Whether two runs were trained on the same images and differ in their seed at most.

    Args:
        one, other: recordings.
        but: parts of the configuration that may differ besides, such as "objective".
    """
    return _common(one, but) == _common(other, but)


def _common(run: Recording, but: tuple[str, ...]) -> tuple[Any, Any]:
    config = {k: v for k, v in run.run["config"].items() if k not in ("seed", *but)}
    return config, run.run["data"].get("train_fingerprint")
