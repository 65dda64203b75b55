"""What run.json of a recording has to say, looked at once when the recording is opened."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from ssl_companion.data import Hierarchy, hierarchy_of
from ssl_companion.data.hierarchy import hierarchy_from_dict
from ssl_companion.training.config import run_config_from_dict

_MOST = 2**53  # integers that a float holds exactly


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_count, value))


def _seconds(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= _MOST and math.isfinite(value)


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _object(*words: str) -> Callable[[Any], bool]:
    """An object that has these words as text."""
    return lambda value: isinstance(value, dict) and all(_text(value.get(word)) for word in words)


def _names(value: Any) -> bool:
    named = isinstance(value, list) and bool(value) and all(map(_text, value))
    return named and len(set(value)) == len(value)


def _epochs(value: Any) -> bool:
    return _counts(value) and bool(value) and sorted(set(value)) == value


def _digests(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _text(digest) and re.fullmatch("[0-9a-f]{64}", digest) for digest in value.values()
    )


_Kind = tuple[Callable[[Any], bool], str]
_TEXT: _Kind = (_text, "text")
_TEXT_OR_NULL: _Kind = (_or_null(_text), "text, or null")
_COUNT: _Kind = (_count, "a whole number from 0")
_TRUTH: _Kind = (lambda value: isinstance(value, bool), "true or false")
_FIELDS: dict[str, _Kind] = {
    "title": _TEXT,
    "digest": _TEXT,
    "layers": (_names, "names of layers, each once"),
    "epochs": (_epochs, "whole numbers from 0, ascending"),
    "seed": (_or_null(_count), "a whole number from 0, or null"),
    "device": _TEXT,
    "end": _TEXT_OR_NULL,
    "train_seconds": (_or_null(_seconds), "a number from 0, or null"),
    "wall_seconds": (_seconds, "a number from 0"),
    "versions": (_object(), "an object"),
    "git.commit": _TEXT_OR_NULL,
    "git.clean": _TRUTH,
    "data.name": _TEXT,
    "data.title": _TEXT,
    "data.stand_in": _TRUTH,
    "data.train_images": _COUNT,
    "data.test_images": _COUNT,
    "data.train_fingerprint": _TEXT,
    "data.test_fingerprint": _TEXT,
    "data.whole_train_fingerprint": _TEXT,
    "measured.device": _TEXT,
    "measured.git.commit": _TEXT_OR_NULL,
    "measured.config.keep_test": _COUNT,
    "measured.config.keep_train": _COUNT,
    "measured.config.map_images": _COUNT,
}
_IF_THERE: dict[str, _Kind] = {
    "sha256": (_or_null(_digests), "the SHA-256 of files by their names"),
    "computed": _TEXT,
    "peak_memory_bytes": (_or_null(_count), "a number of bytes"),
    "source": (_object("about"), "an object with the text `about`"),
    "data.held_out": (_counts, "classes"),
    "data.class_counts": (_counts, "a whole number from 0 for each class"),
    "measured.against": (_object("digest"), "an object with the text `digest`"),
}


def check_run(run: Mapping[str, Any]) -> Hierarchy:
    """Make sure that run.json has what a recording is read by.

    Args:
        run: all of it.

    Returns:
        The hierarchy of its classes: that of the data set, or the one that came with labels of
        somebody's own.

    Raises:
        ValueError: a field is absent or of another kind; the message names it and its value.
    """
    for field, (fits, wanted) in (_FIELDS | _IF_THERE).items():
        value: Any = run
        for part in field.split("."):
            value = value[part] if isinstance(value, dict) and part in value else _ABSENT
        if value is _ABSENT and field in _IF_THERE:
            continue
        if value is _ABSENT or not fits(value):
            said = "absent" if value is _ABSENT else _short(value)
            raise ValueError(f"{field}: {said}; expected {wanted}")
    _check_config(run)
    return _hierarchy(run["data"])


_ABSENT = object()


def _short(value: Any) -> str:
    try:
        said = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        said = "a number of thousands of digits"
    return said if len(said) <= 60 else f"{said[:57]}..."


def _check_config(run: Mapping[str, Any]) -> None:
    """An encoder of somebody's own has a name; any other run has a configuration."""
    config: Any = run.get("config")
    if isinstance(config, dict) and _text(config.get("encoder")):
        return
    try:
        built = run_config_from_dict(config)
        whole = built.as_dict()
        for there, wanted in ((config, whole), (config["objective"], whole["objective"])):
            if absent := [name for name in wanted if name not in there]:
                raise ValueError(f"{absent[0]}: absent")
        if max(map(len, built.backbone.split("-"))) > 8:
            raise ValueError(f"backbone: {_short(built.backbone)}; expected the name of a network")
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"config: {_short(config)}; expected that of a run ({error})") from error


def _hierarchy(data: Mapping[str, Any]) -> Hierarchy:
    try:
        found = (
            hierarchy_from_dict(data["hierarchy"])
            if "hierarchy" in data
            else hierarchy_of(data["name"])
        )
        if not all(
            _text(name)
            for level in found.levels
            for name in (level.name, *level.class_names)
        ):  # fmt: skip
            raise ValueError("names that are no text")
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"has no usable hierarchy ({error!r})") from error
    k = found.level("fine").k
    counts, held_out = data.get("class_counts"), data.get("held_out", [])
    if counts is not None and (len(counts) != k or not all(counts)):
        raise ValueError(f"data.class_counts: {_short(counts)}; expected {k} numbers from 1")
    if any(one >= k for one in held_out):
        raise ValueError(f"data.held_out: {_short(held_out)}; expected classes from 0 to {k - 1}")
    return found
