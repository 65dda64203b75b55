"""What the estimators of compression read of one epoch, and random halves of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssl_companion.recordings import Recording


@dataclass(frozen=True, eq=False)
class Material:
    """What the estimators read of one epoch, all of the last layer.

    Attributes:
        views, image: augmented views [M, D] and which of the S images each shows [M].
        classes: fine label of each image, [S].
        sample_means: mean of many other views of each image, [S, D].
        many, many_of: many views of a few images [M', D], and which image each shows [M'].
        test, test_classes: test images as they are [N, D] and their fine labels [N].
        class_means: of the whole training set, [K, D].
    """

    views: np.ndarray
    image: np.ndarray
    classes: np.ndarray
    sample_means: np.ndarray
    many: np.ndarray
    many_of: np.ndarray
    test: np.ndarray
    test_classes: np.ndarray
    class_means: np.ndarray

    @classmethod
    def of(cls, recording: Recording, epoch: int) -> Material:
        """Of a recording that keeps features."""
        return cls(
            *recording.sample_views(epoch),
            recording.fine("sample"),
            recording.sample_means(epoch),
            *recording.map_views(epoch),
            recording.features(epoch),
            recording.fine(),
            recording.class_means(epoch),
        )

    def half(self, seed: int) -> Material:
        """Half of the images, drawn without replacement, with all of their views."""
        rng = np.random.default_rng(seed)
        few = np.unique(self.many_of)
        samples = np.sort(rng.permutation(len(self.classes))[: len(self.classes) // 2])
        tests = np.sort(rng.permutation(len(self.test))[: len(self.test) // 2])
        some = rng.permutation(few)[: (len(few) + 1) // 2]
        own, manies = np.isin(self.image, samples), np.isin(self.many_of, some)
        return Material(
            self.views[own],
            np.searchsorted(samples, self.image[own]),
            self.classes[samples],
            self.sample_means[samples],
            self.many[manies],
            self.many_of[manies],
            self.test[tests],
            self.test_classes[tests],
            self.class_means,
        )
