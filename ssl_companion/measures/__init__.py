"""Measures of representations: pure functions of features and labels (arrays only).

Features are numpy arrays or torch tensors (CPU or CUDA) of shape [N samples, D dimensions];
labels are integers [N]. Bad input is a ValueError that names the argument.
"""

from .balanced import balanced_kmeans
from .centroids import NearestCentroid
from .class_statistics import ClassStatistics
from .collapse import NeuralCollapse, cdnv, cdnv_of, nc4, neural_collapse, neural_collapse_of
from .dendrogram import cophenetic_correlation, cut_agreement, dendrogram, label_distances
from .information import (
    InformationBounds,
    VarianceShares,
    coding_rate,
    coding_rate_given,
    directions,
    effective_rank,
    kde_information_bounds,
    renyi_entropy,
    renyi_information,
    variance_share_within,
    variance_shares,
)
from .intervals import Interval, bootstrap, bootstrap_accuracy, bootstrap_mean
from .knn import WeightedKNN
from .neighbours import nearest_neighbours
from .probes import LinearProbe, ProbeAccuracy, ProbeConfig, linear_probe

__all__ = [
    "ClassStatistics",
    "InformationBounds",
    "Interval",
    "LinearProbe",
    "NearestCentroid",
    "NeuralCollapse",
    "ProbeAccuracy",
    "ProbeConfig",
    "VarianceShares",
    "WeightedKNN",
    "balanced_kmeans",
    "bootstrap",
    "bootstrap_accuracy",
    "bootstrap_mean",
    "cdnv",
    "cdnv_of",
    "coding_rate",
    "coding_rate_given",
    "cophenetic_correlation",
    "cut_agreement",
    "dendrogram",
    "directions",
    "effective_rank",
    "kde_information_bounds",
    "label_distances",
    "linear_probe",
    "nc4",
    "nearest_neighbours",
    "neural_collapse",
    "neural_collapse_of",
    "renyi_entropy",
    "renyi_information",
    "variance_share_within",
    "variance_shares",
]
