"""What to measure of a snapshot, what to keep of it, and which images that comes to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from ssl_companion.data.images import LabelSet, balanced_indices
from ssl_companion.io.arguments import at_least

# Settings that came after the first recordings, and what they say where they ask for nothing.
_LATER: dict[str, tuple[Any, ...]] = {
    "keep_at": ((), []), "keep_samples": (0,), "groupings": (True,),
}  # fmt: skip

_LEAST = {"sample_images": 2, "keep_samples": 0} | dict.fromkeys(
    ("sample_views", "sample_fresh", "every_sample_views", "keep_train", "keep_test",
     "keep_fresh", "map_images", "map_views"), 1
)  # fmt: skip

Keep = Literal["all", "last", "none"]


@dataclass(frozen=True)
class MeasureConfig:
    """What to measure of a snapshot, and what to keep of it.

    Attributes:
        sample_images: the sample level: so many training images as classes.
        sample_views: so many views of each to fit.
        sample_fresh: so many fresh views of each to test.
        every_sample_at: epochs at which all training images are classes, besides.
        every_sample_views: views of each image to fit then; one fresh view tests.
        probes: fit linear and kNN probes on the last layer.
        probe_layers_at: epochs at which they are fitted on every layer.
        keep: features kept: "all" layers, the "last", or "none".
        keep_at: the epochs whose features are kept; empty means every measured epoch.
        all_layers_at: with keep="all", the epochs that keep all layers (others keep the last);
            empty means every epoch that is kept.
        keep_train: training images of each class whose features are kept.
        keep_test: test images of each class whose features are kept.
        keep_samples: so many of the sample level's images are kept (0: all of them).
        groupings: measure balanced accuracies under groupings of every level.
        keep_fresh: fresh views of each of these that are kept.
        map_images: so many images are kept for the maps.
        map_views: so many views of each of these.
        weights: keep the last snapshot's weights.
        targets: keep the classifier's predictions of all images (a supervised run's), to be
            targets for others.
        against: name of a recording with targets, in the same folder; the last layer is then
            measured against them as against labels, at levels "teacher-<epoch>".
    """

    sample_images: int = 500
    sample_views: int = 100
    sample_fresh: int = 20
    every_sample_at: tuple[int, ...] = ()
    every_sample_views: int = 10
    probes: bool = True
    probe_layers_at: tuple[int, ...] = ()
    keep: Keep = "none"
    all_layers_at: tuple[int, ...] = ()
    keep_train: int = 10
    keep_test: int = 20
    keep_fresh: int = 2
    map_images: int = 5
    map_views: int = 100
    weights: bool = False
    targets: bool = False
    against: str = ""
    keep_at: tuple[int, ...] = ()
    keep_samples: int = 0
    groupings: bool = True

    def __post_init__(self) -> None:
        if self.keep not in get_args(Keep):
            raise ValueError(f"keep: {self.keep!r}; expected one of {get_args(Keep)}")
        for name, least in _LEAST.items():  # as Python's own integers, which JSON can hold
            object.__setattr__(self, name, at_least(getattr(self, name), least, name))
        for name in ("every_sample_at", "probe_layers_at", "all_layers_at", "keep_at"):
            epochs = tuple(at_least(epoch, 0, name) for epoch in getattr(self, name))
            object.__setattr__(self, name, epochs)

    def settings(self) -> dict[str, Any]:
        """What tells two measurements apart; what was measured before a setting came counts on."""
        return _but_later_defaults(asdict(self))

    def is_that_of(self, recorded: dict[str, Any]) -> bool:
        """Whether a recording's `run["measured"]["config"]` has the same settings."""
        asked = json.loads(json.dumps(self.settings()))  # tuples become lists, as in its file
        return bool(asked == _but_later_defaults(recorded))

    def layers_kept(self, epoch: int, layers: tuple[str, ...]) -> tuple[str, ...]:
        """The layers whose features are kept at `epoch`."""
        if self.keep == "none" or (self.keep_at and epoch not in self.keep_at):
            return ()
        if self.keep == "all" and (not self.all_layers_at or epoch in self.all_layers_at):
            return layers
        return layers[-1:]


def _but_later_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k not in _LATER or v not in _LATER[k]}


@dataclass(frozen=True, eq=False, kw_only=True)
class Subsets:
    """Which images are kept: indices into the training and the test set, fixed by seed 0.

    Attributes:
        train, test: images whose features are kept, int64.
        sample: training images that are classes of their own at the sample level, int64.
        kept: positions in `sample` of those whose features are kept, int64.
    """

    train: np.ndarray
    test: np.ndarray
    sample: np.ndarray
    kept: np.ndarray

    @classmethod
    def choose(
        cls, train: LabelSet, test: LabelSet, config: MeasureConfig, samples: bool = True
    ) -> Subsets:
        """The images that `config` asks for, fewer where a class has not as many.

        Args:
            train, test: with an image of every class at least.
            config: how many.
            samples: False where there is no sample level.
        """

        def spread(images: int) -> np.ndarray:  # over the classes, so many in all or a few more
            per_class = -(-images // train.hierarchy.level("fine").k)
            return balanced_indices(train.fine, min(per_class, _smallest_class(train)), seed=1)

        sample = spread(config.sample_images)[: config.sample_images * samples]
        kept = np.arange(len(sample))
        if 0 < config.keep_samples < len(sample):
            few = np.isin(sample, spread(config.keep_samples))
            kept = np.flatnonzero(few)[: config.keep_samples]
        return cls(
            train=balanced_indices(train.fine, min(config.keep_train, _smallest_class(train))),
            test=balanced_indices(test.fine, min(config.keep_test, _smallest_class(test))),
            sample=sample,
            kept=kept,
        )


def _smallest_class(images: LabelSet) -> int:
    return int(np.bincount(images.fine).min())
