"""Images and their labels: CIFAR-100, and a stand-in drawn from fonts.

Random views of images are in `ssl_companion.data.augmentation`, which needs torch.
"""

from __future__ import annotations

from ssl_companion.data.errors import CacheError, DataError
from ssl_companion.data.hierarchy import (
    CIFAR100,
    GLYPHS100,
    Hierarchy,
    Level,
    hierarchy_of,
    random_grouping,
)
from ssl_companion.data.images import ImageSet, balanced_indices, fingerprint
from ssl_companion.data.loading import Description, describe_sources, load

__all__ = [
    "CIFAR100",
    "GLYPHS100",
    "CacheError",
    "DataError",
    "Description",
    "Hierarchy",
    "ImageSet",
    "Level",
    "balanced_indices",
    "describe_sources",
    "fingerprint",
    "hierarchy_of",
    "load",
    "random_grouping",
]
