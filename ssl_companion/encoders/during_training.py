"""Record an encoder while Lightning trains it."""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.encoders.running.runner import Encoder
from ssl_companion.measures import _checks

#: The two names that Lightning is installed under.
LIGHTNING = ("lightning.pytorch", "pytorch_lightning")


class RecordCallback:
    """A callback of Lightning that records before training and after its epochs.

    `Trainer(callbacks=[RecordCallback(recorder)])`, of `lightning.pytorch` or `pytorch_lightning`.
    The process of rank 0 measures and writes while the others wait, so that the encoder has to be
    whole there: under DDP it is, under FSDP it is not. The last epoch is recorded in any case, and
    the recording says that it is complete when training has ended, not when it was interrupted.
    Training that goes on from a checkpoint goes on with the recording.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> x, y = np.random.default_rng(0).normal(size=(40, 8)), np.repeat([0, 1], 20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     recorder = EncoderRecorder(x, y, destination=f"{folder}/mine")
        ...     callback = RecordCallback(recorder, every=5, losses=["train_loss"])
        >>> type(callback).__mro__[-2].__name__
        'Callback'

    Args:
        recorder: what it records with.
        every: so many epochs apart.
        encoder: takes the `LightningModule` and returns what is to be measured. By default its
            `backbone`, or itself where it has none.
        losses: names of metrics that the module logs, the total first, to be kept as the losses
            of recorded epochs. Those that were not logged, or are not finite, are left out.

    Raises:
        ValueError: another recorder than an `EncoderRecorder`, or `every` below 1.
        ImportError: Lightning is not installed.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> RecordCallback:
        """An instance of a class that is a `Callback` of the Lightning in use, too."""
        base = _lightning().Callback
        if not issubclass(cls, base):
            cls = type(cls.__name__, (cls, base), {"__module__": cls.__module__})
        return super().__new__(cls)

    def __init__(
        self,
        recorder: EncoderRecorder,
        every: int = 1,
        encoder: Callable[[Any], Encoder] | None = None,
        losses: Sequence[str] = (),
    ) -> None:
        if not isinstance(recorder, EncoderRecorder):
            raise ValueError(
                f"recorder: {type(recorder).__name__}; expected an EncoderRecorder, which knows "
                "the images and the place: EncoderRecorder(images, labels, destination=...)"
            )
        self.recorder, self.every = recorder, _checks.at_least(every, 1, "every")
        self.encoder, self.losses = encoder, [losses] if isinstance(losses, str) else list(losses)

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Record the encoder before training, and that of a checkpoint that is not there yet."""
        epoch = trainer.current_epoch
        if epoch % self.every == 0 and epoch not in self.recorder.epochs:
            self._record(trainer, module, epoch)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Record the encoder after an epoch."""
        epoch = trainer.current_epoch + 1  # Lightning counts from 0
        if epoch % self.every == 0:
            self._record(trainer, module, epoch)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """Record the last epoch, if it is not there, and say that the recording is complete."""
        if trainer.current_epoch not in self.recorder.epochs:
            self._record(trainer, module, trainer.current_epoch)
        if trainer.is_global_zero:
            self.recorder.finish()

    def _record(self, trainer: Any, module: Any, epoch: int) -> None:
        if not trainer.is_global_zero:
            return
        chosen = self.encoder(module) if self.encoder else getattr(module, "backbone", module)
        logged = {name: float(trainer.callback_metrics.get(name, math.nan)) for name in self.losses}
        found = {name: value for name, value in logged.items() if math.isfinite(value)}
        if self.losses and (total := found.pop(self.losses[0], None)) is not None:
            self.recorder(epoch, chosen, {"total": total} | found)
        else:
            self.recorder(epoch, chosen)


def _lightning() -> ModuleType:
    """The Lightning that is imported already, else one that can be.

    Raises:
        ImportError: there is none.
    """
    for name in LIGHTNING:
        if name in sys.modules:
            return sys.modules[name]
    for name in LIGHTNING:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in (name, name.partition(".")[0]):
                raise
    raise ModuleNotFoundError(
        "RecordCallback: Lightning is not installed; expected lightning or pytorch-lightning; "
        "`pip install lightning` brings it, and EncoderRecorder needs none",
        name="lightning",
    )
