"""The tree that the class means grow, against a tree of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import _checks
from ssl_companion.measures._checks import ArrayLike
from ssl_companion.measures._distances import centred
from ssl_companion.measures._torch_state import plain_torch

METHODS = ("single", "complete", "average", "weighted", "centroid", "median", "ward")


@plain_torch()
def dendrogram(class_means: ArrayLike, method: str = "average") -> np.ndarray:
    """Agglomerative clustering of the class means by Euclidean distance.

    Args:
        class_means: [K, D], K >= 3.
        method: of `scipy.cluster.hierarchy.linkage`.

    Returns:
        A linkage in SciPy's form, float64 [K-1, 4], with heights in the unit of the means.

    Raises:
        ValueError: bad means, fewer than three, or an unknown method.

    Example:
        >>> dendrogram([[0.0], [1.0], [5.0]]).tolist()
        [[0.0, 1.0, 1.0, 2.0], [2.0, 3.0, 4.5, 3.0]]
    """
    from scipy.cluster.hierarchy import linkage  # slow to import, as in the functions below

    _checks.one_of(method, METHODS, "method")
    means = _checks.features(class_means, "class_means")
    if len(means) < 3:
        raise ValueError(f"class_means: {len(means)} rows; expected three or more")
    return np.asarray(linkage(centred(means).cpu().numpy(), method=method))


@plain_torch()
def label_distances(levels: Sequence[ArrayLike]) -> np.ndarray:
    """Distance of two classes in a label tree: the number of levels that tell them apart.

    Args:
        levels: for each level, finest first, the group of every class, integers [K]; each
            level refines the next. A level that only numbers the classes may be there or not.

    Returns:
        float64 [K (K-1) / 2], in the order of `scipy.spatial.distance.pdist`.

    Raises:
        ValueError: no level, bad or mismatched labels, levels that are not nested, or a tree
            that holds every pair at the same distance.

    Example:
        >>> label_distances([[0, 0, 1, 2], [0, 0, 0, 1]]).tolist()
        [0.0, 1.0, 2.0, 1.0, 2.0, 2.0]
    """
    if len(levels) == 0:
        raise ValueError("levels: empty; expected one array of groups or more")
    from scipy.spatial.distance import squareform

    groups: list[np.ndarray] = []
    for i, level in enumerate(levels):
        length = len(groups[0]) if groups else None
        g = _checks.labels(level, f"levels[{i}]", length=length, of="levels[0]").cpu().numpy()
        if groups:
            _refuse_unnested(groups[-1], g, i)
        groups.append(g)
    apart = sum((g[:, None] != g).astype(float) for g in groups)
    distances = squareform(apart, checks=False)
    if len(distances) == 0 or np.ptp(distances) == 0:
        raise ValueError("levels: all pairs of classes equally far apart; expected a tree")
    return distances


def _refuse_unnested(finer: np.ndarray, coarser: np.ndarray, i: int) -> None:
    pairs = np.unique(np.stack([finer, coarser]), axis=1)
    inside, times = np.unique(pairs[0], return_counts=True)
    if (times > 1).any():
        split = int(inside[times > 1][0])
        raise ValueError(
            f"levels[{i}]: splits group {split} of levels[{i - 1}]; expected nested levels, finest"
            " first; for a control, permute the classes of the whole tree"
        )


@plain_torch()
def cophenetic_correlation(
    class_means: ArrayLike, levels: Sequence[ArrayLike], method: str = "average"
) -> float:
    """Correlation of the means' dendrogram with a label tree, in [-1, 1].

    Pearson's, over the pairs of classes, between the height at which the dendrogram joins two
    classes and their distance in the tree (Sokal, Rohlf 1962, doi:10.2307/1217208).

    Args:
        class_means: [K, D].
        levels: as for `label_distances`.
        method: as for `dendrogram`.

    Raises:
        ValueError: as for `dendrogram` and `label_distances`, or mismatched K.
        UndefinedMeasure: means that are all equally far apart.

    Example:
        >>> round(cophenetic_correlation([[0.0], [1.0], [5.0], [6.0]], [[0, 0, 1, 1]]), 4)
        1.0
    """
    from scipy.cluster.hierarchy import cophenet

    tree = dendrogram(class_means, method)
    distances = label_distances(levels)
    heights = cophenet(tree)
    if len(heights) != len(distances):
        raise ValueError(
            f"levels: {len(levels[0])} classes; expected {len(tree) + 1}, as in class_means"
        )
    if np.ptp(heights) <= 1e-12 * heights.max():
        raise UndefinedMeasure("class_means: all classes join at one height; expected a tree")
    return float(np.corrcoef(heights / heights.max(), distances)[0, 1])


@plain_torch()
def cut_agreement(class_means: ArrayLike, level: ArrayLike, method: str = "average") -> float:
    """Adjusted mutual information of the dendrogram's cut with one level of the labels.

    The dendrogram is cut where it has as many clusters as the level has groups. 1 if the two
    partitions agree, about 0 for a random one (Vinh, Epps, Bailey 2010); below 0 for worse.

    Args:
        class_means: [K, D].
        level: the group of every class, integers [K], with 2 to K-1 groups.
        method: as for `dendrogram`.

    Raises:
        ValueError: as for `dendrogram`, bad or mismatched labels, or a level that puts all
            classes into one group or each into its own.

    Example:
        >>> round(cut_agreement([[0.0], [1.0], [5.0], [6.0]], [0, 0, 1, 1]), 4)
        1.0
    """
    from scipy.cluster.hierarchy import fcluster
    from sklearn.metrics import adjusted_mutual_info_score

    tree = dendrogram(class_means, method)
    groups = _checks.labels(level, "level", length=len(tree) + 1, of="class_means").cpu().numpy()
    k = len(np.unique(groups))
    if not 2 <= k <= len(tree):
        raise ValueError(
            f"level: {k} groups of {len(groups)} classes; expected 2 to {len(tree)} groups"
        )
    return float(adjusted_mutual_info_score(groups, fcluster(tree, k, criterion="maxclust")))
