"""Which images of a data set a recording looks at more closely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssl_companion.data.images import LabelSet, balanced_indices
from ssl_companion.recordings.measure_config import MeasureConfig


@dataclass(frozen=True, eq=False)
class Subsets:
    """Which images are kept: indices into the training and the test set, fixed by seed 0.

    Attributes:
        train, test: images whose features are kept, int64.
        sample: training images that are classes of their own at the sample level, int64.
    """

    train: np.ndarray
    test: np.ndarray
    sample: np.ndarray

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
        per_class = -(-config.sample_images // train.hierarchy.level("fine").k)
        per_class = min(per_class, _smallest_class(train))
        return cls(
            balanced_indices(train.fine, min(config.keep_train, _smallest_class(train))),
            balanced_indices(test.fine, min(config.keep_test, _smallest_class(test))),
            balanced_indices(train.fine, per_class, seed=1)[: config.sample_images * samples],
        )

    def kept_samples(self, train: LabelSet, config: MeasureConfig) -> np.ndarray:
        """Positions in `sample` of the images that are kept, the classes balanced: int64."""
        if not 0 < config.keep_samples < len(self.sample):
            return np.arange(len(self.sample))
        per_class = -(-config.keep_samples // train.hierarchy.level("fine").k)
        few = balanced_indices(train.fine, min(per_class, _smallest_class(train)), seed=1)
        return np.flatnonzero(np.isin(self.sample, few))[: config.keep_samples]


def _smallest_class(images: LabelSet) -> int:
    return int(np.bincount(images.fine).min())
