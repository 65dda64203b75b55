"""Measures of representations: pure functions of features and labels (arrays only).

Features are numpy arrays or torch tensors (CPU or CUDA) of shape [N samples, D dimensions];
labels are integers [N]. Bad input is a `ValueError` that names the argument; features that have
no such measure (class means that coincide, rows of zeros) are an `errors.UndefinedMeasure`.
"""

from ssl_companion.measures.class_statistics import ClassStatistics
from ssl_companion.measures.collapse import (
    NeuralCollapse,
    cdnv,
    cdnv_of,
    directional_cdnv,
    directional_cdnv_of,
    nc4,
    neural_collapse,
    neural_collapse_of,
)
from ssl_companion.measures.dendrogram import (
    cophenetic_correlation,
    cut_agreement,
    dendrogram,
    label_distances,
)
from ssl_companion.measures.entropies import (
    InformationBounds,
    kde_information_bounds,
    renyi_entropy,
    renyi_information,
)
from ssl_companion.measures.hypersphere import alignment, uniformity
from ssl_companion.measures.information import (
    alpha_req,
    coding_rate,
    coding_rate_given,
    conditional_rates,
    directions,
    effective_rank,
    gaussian_rate,
    participation_ratio,
    variance_share_within,
)
from ssl_companion.measures.kmeans import balanced_kmeans
from ssl_companion.measures.knn import WeightedKNN, nearest_neighbours
from ssl_companion.measures.nearest_centroid import NearestCentroid
from ssl_companion.measures.probes import LinearProbe
from ssl_companion.measures.resampling import (
    Interval,
    bootstrap,
    bootstrap_accuracy,
    bootstrap_mean,
)

__all__ = [
    "ClassStatistics",
    "InformationBounds",
    "Interval",
    "LinearProbe",
    "NearestCentroid",
    "NeuralCollapse",
    "WeightedKNN",
    "alignment",
    "alpha_req",
    "balanced_kmeans",
    "bootstrap",
    "bootstrap_accuracy",
    "bootstrap_mean",
    "cdnv",
    "cdnv_of",
    "coding_rate",
    "coding_rate_given",
    "conditional_rates",
    "cophenetic_correlation",
    "cut_agreement",
    "dendrogram",
    "directional_cdnv",
    "directional_cdnv_of",
    "directions",
    "effective_rank",
    "gaussian_rate",
    "kde_information_bounds",
    "label_distances",
    "nc4",
    "nearest_neighbours",
    "neural_collapse",
    "neural_collapse_of",
    "participation_ratio",
    "renyi_entropy",
    "renyi_information",
    "uniformity",
    "variance_share_within",
]
