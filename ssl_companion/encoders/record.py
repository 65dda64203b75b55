"""Your own encoder as a recording, which the pages of the book show like theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from tqdm.auto import tqdm

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.encoders.inputs.hierarchies import HierarchyLike
from ssl_companion.encoders.inputs.labelled import Labelled, Labels
from ssl_companion.encoders.inputs.sources import SIZE, ImageSource
from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.encoders.running.runner import Encoder, Running
from ssl_companion.recordings import MeasureConfig, Recording, open_recording
from ssl_companion.recordings.places import refuse_recording

if TYPE_CHECKING:
    from typing_extensions import Unpack

Encoders = Encoder | Mapping[int, Encoder] | Iterable[tuple[int, Encoder]] | None


def record_encoder(
    encoder: Encoders,
    images: ImageSource | Labelled | Mapping[int, Any],
    labels: Labels | None = None,
    *,
    destination: str | Path,
    test_images: ImageSource | Labelled | Mapping[int, Any] | None = None,
    test_labels: Labels | None = None,
    hierarchy: HierarchyLike | None = None,
    size: int = SIZE,
    title: str = "",
    config: MeasureConfig | None = None,
    sample_views: ViewConfig | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    **running: Unpack[Running],
) -> Recording:
    """Measure an encoder, or its checkpoints, and write down what comes out as a recording.

    It is opened by its path wherever the book opens one of its own: in the explorer, in a chapter
    (`RECORDING = "my-recordings/mine"`), or by `open_recording`.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> rng, y = np.random.default_rng(0), np.repeat([0, 1], 20)
        >>> before, after = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 4 * y[:, None]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mine = record_encoder(
        ...         None, {0: before, 100: after}, y, destination=f"{folder}/mine", progress=False
        ...     )
        ...     ncc = mine.select(measure="ncc", level="fine", split="test")
        >>> mine.epochs, float(ncc["value"].iloc[-1])
        ((0, 100), 1.0)

    Args:
        encoder: as in `measure_encoder`; or several, by epoch: a dictionary, or pairs of epoch
            and encoder, asked for one after the other, so that they need not all be in memory.
            None when `images` are features already.
        images: of any source that `measure_encoder` takes, as long as it can be gone through again
            for every checkpoint, and once before (see `recorder.EncoderRecorder`); without an
            encoder also features [N, D] by epoch, or by epoch and layer, `{0: {"layer1": x,
            "layer2": y}, 10: {...}}`. A `Labelled` has the images' names, too.
        labels: integers [N], 0 to K-1, text, or a table (see `labels.class_labels`); None where
            `images` brings its own.
        destination: the recording's folder; its last part is the recording's name.
        test_images, test_labels: held-out ones, of every class; None splits `images` in halves,
            class by class.
        hierarchy: upper levels of the labels, and their classes' names (see
            `hierarchies.as_hierarchy`); None takes that of the images or of the labels.
        size: height and width, in pixels, that pictures of a folder or of PIL are brought to.
        title: plain words, for captions.
        config: what to measure and keep; by default probes on the last layer, and some features of
            every layer. Its settings of the sample level count with `sample_views` only.
        sample_views: how views of an image vary, at the sample level (every image a class of its
            own); None: no such level. The images then have to be an array of bytes, and views are
            bytes, too.
        seed: of the split.
        overwrite: replace a recording that stands there.
        progress: show a progress bar.
        **running: how the encoder is run, as in `measure_encoder`.

    Returns:
        The recording, opened.

    Raises:
        ValueError: bad images, labels, epochs or outputs of the encoder; the message says which.
        SourceError, DataError: what gives the images failed.
        OccupiedError: a recording stands there, and no `overwrite`.
        RecordingError: a folder of something else stands there, or the disk is full.
    """
    refuse_recording(Path(destination), overwrite)
    recorder = EncoderRecorder(
        images,
        labels,
        destination=destination,
        test_images=test_images,
        test_labels=test_labels,
        hierarchy=hierarchy,
        size=size,
        title=title,
        config=MeasureConfig(keep="all") if config is None else config,
        sample_views=sample_views,
        seed=seed,
        overwrite=overwrite,
        features=encoder is None,
        **running,
    )
    checkpoints = _by_epoch(encoder, images)
    for epoch, one in tqdm(checkpoints, recorder.destination.name, disable=not progress):
        recorder.add(epoch, one)
    recorder.finish()
    return open_recording(recorder.destination)


def _by_epoch(encoder: Encoders, images: object) -> Iterator[tuple[Any, Encoder | None]]:
    """Epoch and encoder, one after the other; None for features that are there already.

    Raises:
        ValueError: something else among the checkpoints than such pairs.
    """
    if encoder is None:
        given = images.images if isinstance(images, Labelled) else images
        yield from ((epoch, None) for epoch in (given if isinstance(given, Mapping) else (0,)))
    elif isinstance(encoder, Mapping) and not isinstance(encoder, nn.Module):
        yield from encoder.items()
    elif callable(encoder):
        yield 0, encoder
    elif isinstance(encoder, str) or not isinstance(encoder, Iterable):
        raise ValueError(
            f"encoder: {type(encoder).__name__}; expected a module, a function, or several by epoch"
        )
    else:
        for pair in encoder:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise ValueError(
                    f"encoder: {type(pair).__name__} among the checkpoints; expected pairs of "
                    "epoch and encoder"
                )
            yield pair
