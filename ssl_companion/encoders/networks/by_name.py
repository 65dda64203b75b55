"""An encoder by its name: `load_encoder("timm:resnet50.a1_in1k")`.

| Name | Encoder |
|---|---|
| `vicreg-res5-250` | a network that comes with the book, see `pretrained` |
| `random`, `random:ARCHITECTURE` | the same architecture, or another of `make_backbone` such as \
`res-5-64`, untrained, with batch normalisation settled on the training images |
| `pixels` | the normalised pixels of images of 32 x 32 |
| `whitened-pixels`, `whitened-pixels:D` | their first 250, or D, principal components on the \
training images, of variance one |
| a recording's name or path | its network, of those that keep weights |
| `timm:NAME` | of timm, pretrained; needs `pip install timm` |
| `hf:NAME` | a vision model of Hugging Face; needs `pip install transformers` |
| `torchvision:NAME` | of torchvision, with its default weights |
| `path/to/module.py:function` | what `function()` returns: an encoder, or an encoder and its \
`preprocess`. **This runs the code of the file**, as `import` does |
| `path/to/network.pt2` | a program of `torch.export`; **reading one can run code** that its \
author put there |
| `path/to/network.pt` (`.pth`, `.ts`) | TorchScript |

Networks are frozen and in evaluation mode. Bytes are resized to the size that a named network was
made for. A function or a program of your own gets what `runner.Running` says.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ssl_companion.encoders.networks.baselines import (
    BACKBONE,
    COMPONENTS_OF_PIXELS,
    SMALL_IMAGES,
    pixel_baseline,
    untrained_baseline,
    whitened_pixel_baseline,
)
from ssl_companion.encoders.networks.known import NETWORKS
from ssl_companion.encoders.networks.libraries import (
    hugging_face_encoder,
    timm_encoder,
    torchvision_encoder,
)
from ssl_companion.encoders.networks.named import NamedEncoder, named
from ssl_companion.encoders.networks.pretrained import Pretrained, pretrained
from ssl_companion.encoders.running.runner import EncoderError, ImageBatches
from ssl_companion.errors import CompanionError
from ssl_companion.io.atomic import file_digest
from ssl_companion.measures._torch_state import known_device
from ssl_companion.recordings import open_recording, recordings_root
from ssl_companion.recordings.format import RUN
from ssl_companion.recordings.opening import folders_of_recordings

_FUNCTION = re.compile(r"(?P<file>.+\.py):(?P<function>\w+)")
_SCRIPTED = (".pt", ".pth", ".ts")
_EXPORTED = ".pt2"
_LIBRARIES: dict[str, Callable[[str, torch.device | None], NamedEncoder]] = {
    "timm": timm_encoder,
    "hf": hugging_face_encoder,
    "torchvision": torchvision_encoder,
}
_BASELINES = ("random", "pixels", "whitened-pixels")


def load_encoder(
    spec: str,
    *,
    device: torch.device | str | None = None,
    seed: int = 0,
    images: ImageBatches | None = None,
) -> NamedEncoder:
    """An encoder by its name.

    Example:
        >>> pixels = load_encoder("pixels")
        >>> pixels.name, pixels.size
        ('pixels', (32, 32))
        >>> images = torch.zeros(4, 3, 20, 24, dtype=torch.uint8)
        >>> load_encoder("random:res-2-8", images=images).about["backbone"]
        'res-2-8'

    Args:
        spec: see the table above.
        device: where it will be; None: the CPU, or where a function puts it.
        seed: of random weights, and of the images that baselines look at.
        images: the training images, see `Runner`, which "random" and "whitened-pixels" look at.

    Returns:
        It with its name for titles, and what prepares its images.

    Raises:
        ValueError: an unknown name.
        MissingExtraError: a library is not installed.
        RecordingError: the recording keeps no weights, or is damaged.
        EncoderError: the library, the file or the function failed.
    """
    if not isinstance(spec, str) or not spec:
        raise ValueError(f"encoder: {spec!r}; expected {_FORMS}")
    where = known_device(device)
    kind, colon, rest = spec.partition(":")
    if spec in NETWORKS:
        network = pretrained(spec, device=where or "cpu")
        weights = NETWORKS[spec]
        return _of_the_book(
            spec, network, "pretrained", weights.recording, weights.sha256, weights.backbone
        )
    if kind in _LIBRARIES and colon:
        return _LIBRARIES[kind](rest, where)
    if spec == "pixels":
        return pixel_baseline()
    if kind == "random":
        return untrained_baseline(rest if colon else BACKBONE, images, seed=seed, device=where)
    if kind == "whitened-pixels":
        if colon and not rest.isdecimal():
            raise ValueError(f"encoder: {spec!r}; expected a number of components behind the colon")
        components = int(rest) if colon else COMPONENTS_OF_PIXELS
        return whitened_pixel_baseline(images, components, seed=seed, device=where)
    return _from_file(spec, where)


_FORMS = (
    f"a network ({', '.join(NETWORKS)}), a baseline ({', '.join(_BASELINES)}, "
    "random:ARCHITECTURE), a recording, timm:NAME, hf:NAME, torchvision:NAME, module.py:function, "
    "or a file of TorchScript (.pt) or torch.export (.pt2)"
)


def _from_file(spec: str, device: torch.device | None) -> NamedEncoder:
    path = Path(spec)
    if match := _FUNCTION.fullmatch(spec):
        return _of_function(Path(match["file"]), match["function"], spec, device)
    if path.suffix in (*_SCRIPTED, _EXPORTED) and path.is_file():
        return _of_program(path, device)
    if (path / RUN).exists() or (recordings_root() / spec / RUN).exists():
        recording = open_recording(spec)
        network = Pretrained(recording.backbone(device or "cpu"), recording.layers[-1])
        weights = recording.weights_digest
        backbone = recording.run["config"].get("backbone")
        place = str(recording.path)
        return _of_the_book(recording.name, network, "recording", place, weights, backbone)
    known = [*NETWORKS, *_BASELINES, *(f"{library}:NAME" for library in _LIBRARIES)]
    if recordings_root().is_dir():
        known += [folder.name for folder in folders_of_recordings(recordings_root())]
    near = difflib.get_close_matches(spec, known, 4)
    gone = "there is no such file; " if path.suffix in (".py", *_SCRIPTED, _EXPORTED) else ""
    if path.suffix == ".py" and path.is_file():
        gone = f"a file without a function; `{spec}:function` names one; "
    raise ValueError(
        f"encoder: {spec!r}; {gone}expected {_FORMS}"
        + (f"; near it: {', '.join(near)}" if near else "")
    )


def _of_the_book(
    name: str,
    network: Pretrained,
    kind: str,
    recording: str,
    weights: str | None,
    backbone: str | None,
) -> NamedEncoder:
    return named(
        name, network, SMALL_IMAGES, kind=kind, recording=recording,
        weights_sha256=weights, layer=network.layer, backbone=backbone,
    )  # fmt: skip


def _of_program(path: Path, device: torch.device | None) -> NamedEncoder:
    exported = path.suffix == _EXPORTED
    what = "a program of torch.export" if exported else "TorchScript"
    try:
        if exported:
            module = torch.export.load(path).module()
        else:
            module = torch.jit.load(path, map_location=device or "cpu")
    except Exception as error:
        raise EncoderError(
            f"{path}: cannot be loaded ({_line(error)}); expected {what}; weights alone have no "
            "network: `module.py:function` builds one and loads them"
        ) from error
    about = {"kind": what.removeprefix("a "), "file": path.name, "sha256": file_digest(path)}
    return NamedEncoder(path.stem, _moved(module, device), about=about)


def _of_function(path: Path, function: str, spec: str, device: torch.device | None) -> NamedEncoder:
    if not path.is_file():
        raise ValueError(f"encoder: {spec!r}; there is no file {path}; expected {_FORMS}")
    with _beside(path.parent):
        module = _imported(path, spec)
        build = getattr(module, function, None)
        if not callable(build):
            there = [name for name, value in vars(module).items() if callable(value)]
            near = difflib.get_close_matches(function, there, 4, cutoff=0) or ["none"]
            raise ValueError(
                f"encoder: {spec!r}; expected a function of {path}, which has {', '.join(near)}"
            )
        found = _run(build, f"{spec}: {function}()", "it to return an encoder without arguments")
    encoder, preprocess = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
    if not callable(encoder) or not (preprocess is None or callable(preprocess)):
        raise EncoderError(
            f"{spec}: {function}() returned {type(found).__name__}; expected a module or a "
            "function, or a pair of it and its `preprocess`"
        )
    about = {"kind": "function", "file": path.name, "function": function,
             "sha256": file_digest(path)}  # fmt: skip
    return NamedEncoder(f"{path.stem}:{function}", _moved(encoder, device), preprocess, None, about)


@contextmanager
def _beside(folder: Path) -> Iterator[None]:
    """Modules beside a file can be imported by it, as beside a script."""
    added = str(folder.resolve())
    sys.path.insert(0, added)
    try:
        yield
    finally:
        sys.path.remove(added)


def _imported(path: Path, spec: str) -> ModuleType:
    """The module of a file, under its own name unless another module has that already."""
    path = path.resolve()
    name, there = path.stem, sys.modules.get(path.stem)
    if there is not None and getattr(there, "__file__", None) != str(path):
        name = f"{name}_{file_digest(path)[:8]}"
    described = importlib.util.spec_from_file_location(name, path)
    assert described is not None
    assert described.loader is not None
    loader = described.loader
    module = importlib.util.module_from_spec(described)
    sys.modules[name] = module  # dataclasses and pickle look there
    try:
        _run(lambda: loader.exec_module(module), spec, "a file that can be imported")
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _run(call: Callable[[], Any], what: str, expected: str) -> Any:
    try:
        return call()
    except CompanionError:
        raise
    except Exception as error:
        raise EncoderError(f"{what}: failed ({_line(error)}); expected {expected}") from error


def _line(error: Exception) -> str:
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said[:200]}"


def _moved(encoder: Any, device: torch.device | None) -> Any:
    return encoder.to(device) if device is not None and isinstance(encoder, nn.Module) else encoder
