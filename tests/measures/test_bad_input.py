"""Every measure refuses bad input with a ValueError that names the argument and the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from ssl_companion import measures as m
from ssl_companion.errors import UndefinedMeasure

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 5))
Y = np.arange(60) % 3

# Functions of (features, labels), whichever way they are spelled; these take any labels.
OF_ANY_LABELS: dict[str, Callable[[Any, Any], Any]] = {
    "NearestCentroid.fit": lambda x, y: m.NearestCentroid().fit(x, y),
    "NearestCentroid cosine": lambda x, y: m.NearestCentroid("cosine").fit(x, y),
}
OF_BOTH: dict[str, Callable[[Any, Any], Any]] = {
    "ClassStatistics": lambda x, y: m.ClassStatistics().update(x, y).require_all_classes(),
    "cdnv": m.cdnv,
    "directional_cdnv": m.directional_cdnv,
    "neural_collapse": m.neural_collapse,
    "LinearProbe": lambda x, y: m.LinearProbe().fit(x, y),
    "WeightedKNN": lambda x, y: m.WeightedKNN(k=1).fit(x, y),
}
# Groups may have gaps here: they are looked up, not counted from zero.
OF_GROUPS: dict[str, Callable[[Any, Any], Any]] = {
    "variance_share_within": m.variance_share_within,
    "coding_rate_given": m.coding_rate_given,
    "renyi_information": m.renyi_information,
}
OF_FEATURES: dict[str, Callable[[Any], Any]] = {
    "coding_rate": m.coding_rate,
    "effective_rank": m.effective_rank,
    "alpha_req": m.alpha_req,
    "participation_ratio": m.participation_ratio,
    "uniformity": m.uniformity,
    "alignment": lambda x: m.alignment(x, X),
    "alignment X2": lambda x: m.alignment(X, x),
    "renyi_entropy": m.renyi_entropy,
    "kde_information_bounds": m.kde_information_bounds,
    "directions": m.directions,
    "dendrogram": m.dendrogram,
    "nearest_neighbours": lambda x: m.nearest_neighbours(x, 5),
    "predict": m.NearestCentroid().fit(X, Y).predict,
    "predict cosine": m.NearestCentroid("cosine").fit(X, Y).predict,
    "probe predict": m.LinearProbe().fit(X, Y).predict,
    "kNN predict": m.WeightedKNN(k=1).fit(X, Y).predict,
    "from_centroids": m.NearestCentroid.from_centroids,
}
WITH_LABELS = {**OF_BOTH, **OF_GROUPS}
WITH_ANY = {**OF_ANY_LABELS, **WITH_LABELS}
ALL = {**{n: (lambda x, f=f: f(x, Y)) for n, f in WITH_ANY.items()}, **OF_FEATURES}


def spoilt(value: float) -> np.ndarray:
    x = X.copy()
    x[7, 2] = value
    return x


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64, "tensor"])
def test_not_finite(name, value, kind):
    x = spoilt(value)
    x = torch.from_numpy(x) if kind == "tensor" else x.astype(kind)
    with pytest.raises(ValueError, match=rf"\w+\[7, 2\]: {value}; expected finite"):
        ALL[name](x)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [1e150, -1e200])
def test_a_value_whose_square_overflows(name, value):
    with pytest.raises(ValueError, match=r"\w+\[7, 2\]: -?1e\+\d+; expected magnitudes below 1e"):
        ALL[name](spoilt(value))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X[:, 0], r"\w+: shape \(60,\); expected two dimensions"),
        (X[:, None], r"\w+: shape \(60, 1, 5\); expected two dimensions"),
        (X[:0], r"\w+: empty, shape \(0, 5\)"),
        (X[:, :0], r"\w+: empty, shape \(60, 0\)"),
        (X + 1j, r"\w+: dtype complex128; expected real"),
        (torch.from_numpy(X + 1j), r"\w+: dtype torch.complex128; expected real"),
        (X > 0, r"\w+: dtype torch.bool; expected real"),
        (X.astype(str), r"\w+: dtype <U\d+; expected real"),
        ([[1.0], [1.0, 2.0]], r"\w+: not rectangular"),
        (torch.eye(5).to_sparse(), r"\w+: a torch.sparse_coo tensor"),
        (torch.empty(60, 5, device="meta"), r"\w+: a tensor on the meta device"),
        (np.ma.masked_greater(X, 2.0), r"\w+: a masked array, \d+ of 300 entries masked"),
        (sparse.csr_matrix(X), r"\w+: a sparse matrix; .* call toarray\(\)"),
        (X * 1e-200, r"\w+: no magnitude above \S+e-200; expected 1e-130 or more"),
    ],
)
def test_misshapen_features(name, x, message):
    with pytest.raises(ValueError, match=message):
        ALL[name](x)


@pytest.mark.parametrize("name", WITH_LABELS)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:-1], r": 59 labels; expected 60"),
        (np.where(Y == 1, -2, Y), r"\[1\]: -2; expected a label of 0 or more"),
        (Y + 0.5, r": dtype torch.float64; expected integer labels"),
        (Y.astype(float), r": dtype torch.float64; expected integer labels"),
        (Y > 0, r": dtype torch.bool; expected integer labels"),
        (Y[:, None], r": shape \(60, 1\); expected one dimension"),
        (Y.astype(str), r": text, such as '0'; expected integer labels; `np.unique"),
        (Y.astype("S"), r": bytes, such as b'0'; expected integer labels; `np.unique"),
        (Y.astype("S").astype(object), r": bytes, such as b'0'; expected integer labels"),
        (np.where(Y == 1, np.nan, Y), r"\[1\]: nan; expected an integer label"),
        (np.where(Y == 1, None, Y), r"\[1\]: None; expected labels of one kind"),
        (np.ma.masked_equal(Y, 1), r": a masked array, 20 of 60 entries masked"),
        (Y.astype(np.uint64) + 2**63, r": a label \d+; expected integers that int64 holds"),
    ],
    ids=[
        "length", "negative", "fraction", "float", "bool", "2d", "str", "bytes", "objects", "nan",
        "none", "masked", "uint64",
    ],
)  # fmt: skip
def test_bad_labels(name, y, message):
    with pytest.raises(ValueError, match=message):
        WITH_LABELS[name](X, y)


@pytest.mark.parametrize("name", OF_ANY_LABELS)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:-1], "y: 59 labels; expected 60"),
        (Y + 0.5, "y: dtype float64; expected labels that are integers or text"),
        (np.where(Y == 1, np.nan, Y), r"y\[1\]: nan"),
        (Y.astype("S"), r"y: dtype \|S21; .* `np.asarray\(y, 'S'\).astype\(str\)` makes text"),
        ([b"a", b"bc"] * 30, r"y: dtype \|S2; .* `np.asarray\(y, 'S'\).astype\(str\)` makes text"),
        (["a", None, "b"] * 20, r"y\[1\]: None; expected labels of one kind"),
        (["a", float("nan"), "b"] * 20, r"y\[1\]: nan; expected labels of one kind"),
        (["a", 1, "b"] * 20, r"y\[1\]: 1; expected labels of one kind"),
        ([1, "a", "b"] * 20, r"y\[1\]: 'a'; expected labels of one kind"),
        (np.ma.masked_equal(Y, 1), "y: a masked array, 20 of 60 entries masked"),
        (Y[:, None], r"y: shape \(60, 1\); expected one dimension"),
        ([], "y: 0 labels; expected 60"),
        ([10**30, 1, 2] * 20, "y: 1000000000000000000000000000000; expected integers that int64"),
        (["a"] * 60, r"y: the single class \['a'\]"),
    ],
)
def test_labels_that_are_none_of_any_kind(name, y, message):
    with pytest.raises(ValueError, match=message):
        OF_ANY_LABELS[name](X, y)


@pytest.mark.parametrize("name", OF_BOTH)
def test_a_label_as_large_as_imagenets_ids_is_refused_before_anything_of_its_size_is_made(name):
    with pytest.raises(ValueError, match=r"^y: (no sample of class \d|a label 1507514\d{4}).*gaps"):
        OF_BOTH[name](X, np.where(Y == 1, 15_075_141_000, Y))


@pytest.mark.parametrize("name", OF_BOTH)
def test_absent_class(name):
    with pytest.raises(ValueError, match=r"y: no sample of class 1 \(1 of 3 absent\)"):
        OF_BOTH[name](X, np.where(Y == 1, 2, Y))


@pytest.mark.parametrize("name", {**OF_BOTH, **OF_ANY_LABELS})
def test_single_class(name):
    with pytest.raises(ValueError, match=r"y: the single class \[0\]"):
        {**OF_BOTH, **OF_ANY_LABELS}[name](X, 0 * Y)


@pytest.mark.parametrize("name", ["variance_share_within", "coding_rate_given"])
def test_single_group(name):
    with pytest.raises(ValueError, match="groups: 4 throughout; expected two groups"):
        OF_GROUPS[name](X, 0 * Y + 4)


@pytest.mark.parametrize("name", ["predict", "predict cosine", "probe predict", "kNN predict"])
def test_other_dimensions_than_fitted(name):
    with pytest.raises(ValueError, match="X: 4 dimensions; expected 5"):
        OF_FEATURES[name](X[:, :4])


@pytest.mark.parametrize(
    "model",
    [
        m.NearestCentroid().fit(X, Y),
        m.LinearProbe().fit(X, Y),
        m.WeightedKNN(1).fit(X, Y),
    ],
    ids=["ncc", "probe", "knn"],
)
def test_score_refuses_labels_it_never_saw(model):
    with pytest.raises(ValueError, match="y: a label 3"):
        model.score(X, Y + 1)
    with pytest.raises(ValueError, match="y: 59 labels; expected 60"):
        model.score(X, Y[:-1])


@pytest.mark.parametrize("model", [m.NearestCentroid(), m.LinearProbe(), m.WeightedKNN()])
def test_not_fitted(model):
    with pytest.raises(ValueError, match=r"not fitted; .*; call fit first"):
        model.predict(X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: m.NearestCentroid("manhattan"), "metric: 'manhattan'; expected one of 'eucl"),
        (lambda: m.NearestCentroid().partial_fit(X, Y).partial_fit(X[:, :4], Y), ": 4 dimensions"),
        (
            lambda: m.NearestCentroid().fit(X, Y, classes=[0, 1]),
            "y: a label 2; expected labels among the 2 classes",
        ),
        (lambda: m.NearestCentroid().fit(X, Y, classes=[0, 1, 2, 9]), "y: no sample of class 9"),
        (
            lambda: m.NearestCentroid().fit(X, Y, classes=[0, 1, 1]),
            "classes: \\[0, 1, 1\\]; expected distinct",
        ),
        (lambda: m.NearestCentroid.from_centroids(X[:1]), "centroids: 1 row"),
        (lambda: m.NearestCentroid.from_centroids(X, [1, 2]), "classes: 2 labels; expected 60"),
        (lambda: m.ClassStatistics("half"), "scatter: 'half'"),
        (
            lambda: m.ClassStatistics(n_classes=2).update(X, Y),
            "y: a label 2; expected labels below 2",
        ),
        (lambda: m.ClassStatistics(n_classes=0), "n_classes: 0"),
        (lambda: m.ClassStatistics().require_all_classes(), "y: empty; .*; call update first"),
        (lambda: m.neural_collapse_of(m.ClassStatistics().update(X, Y)), "scatter 'trace'"),
        (lambda: m.neural_collapse(X, Y, np.ones((3, 4))), "classifier_weight: 4 dim"),
        (lambda: m.neural_collapse(X, Y, np.ones((4, 5))), "classifier_weight: 4 rows"),
        (lambda: m.neural_collapse(X, Y, np.zeros((3, 5))), "classifier_weight: all zeros"),
        (
            lambda: m.neural_collapse(X, Y, np.ones((3, 5)), np.ones(4)),
            "bias: 4 numbers",
        ),
        (lambda: m.neural_collapse(X, Y, None, np.ones(3)), "bias: given without"),
        (lambda: m.LinearProbe(l2=-1), "l2: -1; expected a finite number of 0 or more"),
        (lambda: m.LinearProbe(max_iter=0), "max_iter: 0; expected an integer of 1 or more"),
        (lambda: m.LinearProbe(tolerance="low"), "tolerance: 'low'"),
        (lambda: m.LinearProbe(max_iter=2.5), "max_iter: 2.5"),
        (lambda: m.WeightedKNN(k=0), "k: 0"),
        (lambda: m.WeightedKNN(temperature=0), "temperature: 0; expected a finite number above"),
        (lambda: m.WeightedKNN(k=61).fit(X, Y), "k: 61; expected 60 or fewer"),
        (lambda: m.coding_rate(X, 0), "epsilon: 0"),
        (lambda: m.effective_rank(X, of="norms"), "of: 'norms'"),
        (lambda: m.renyi_entropy(X, alpha=0), "alpha: 0"),
        (lambda: m.renyi_entropy(X, bandwidth=-1.0), "bandwidth: -1.0"),
        (lambda: m.renyi_entropy(X, kernel="cubic"), "kernel: 'cubic'"),
        (lambda: m.kde_information_bounds(X, noise=0.0), "noise: 0.0"),
        (lambda: m.kde_information_bounds(X[:1]), "X: 1 sample"),
    ],
)
def test_other_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


COLLAPSED = np.full((60, 5), 0.3)


@pytest.mark.parametrize(
    "call",
    [
        m.kde_information_bounds,
        m.directions,
        lambda x: m.variance_share_within(x, Y),
        lambda x: m.effective_rank(x, of="variance"),
        lambda x: m.effective_rank(0 * x),
        m.alpha_req,
        lambda x: m.cdnv(x, Y),
        lambda x: m.neural_collapse(x, Y),
        lambda x: m.WeightedKNN(1).fit(0 * x, Y),
        lambda x: m.NearestCentroid("cosine").fit(X, Y).predict(0 * x),
        lambda x: m.renyi_entropy(0 * x, kernel="linear"),
        lambda x: m.cophenetic_correlation(x[:4], [[0, 0, 1, 1]]),
    ],
)
def test_collapsed_features_have_no_such_measure(call):
    with pytest.raises(UndefinedMeasure, match=r"^(X|class_means)[^;]*: [^;]+; expected"):
        call(COLLAPSED)


@pytest.mark.parametrize("measure", [m.variance_share_within, m.coding_rate_given])
def test_a_single_group_is_named_whatever_the_index_of_its_series(measure):
    groups = pd.Series(7, index=range(100, 160))
    with pytest.raises(ValueError, match="groups: 7 throughout; expected two groups or more"):
        measure(X, groups)


@pytest.mark.parametrize(
    "score",
    [
        lambda words: m.WeightedKNN(k=1).fit(X, Y).score(X, words),
        lambda words: m.LinearProbe().fit(X, Y).score(X, words),
        lambda words: m.bootstrap_accuracy(words, Y),
    ],
)
def test_labels_beside_others_are_to_be_numbered_like_those(score):
    """By themselves, "b" and "c" would be 0 and 1 where the others have "a", too."""
    known = np.array(["a", "b", "c"])
    words = known[np.maximum(Y, 1)]
    with pytest.raises(
        ValueError, match=r"text, such as 'b'; .* those of (y_train|labels)"
    ) as error:
        score(words)
    advice = str(error.value).split("`")[1]
    names = {"y": words, "predicted": words, "y_train": known[Y], "labels": known[Y], "np": np}
    assert score(eval(advice, names)) == score(np.maximum(Y, 1))
