"""Checkers of the chapter "Measuring a cluster"."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ssl_companion.chapters.analysis.search_precision import by_differences, in_float32
from ssl_companion.chapters.exercises import ELSE, NotYet, array_of, call, checker, near
from ssl_companion.errors import UndefinedMeasure
from ssl_companion.measures import NearestCentroid, cdnv, neural_collapse


@checker
def check_two_clouds(formula: Any) -> str:
    """CDNV of two round clouds as a formula of sigma, distance and dims."""
    for sigma, distance, dims in ((0.6, 3.0, 3), (2.0, 1.0, 100), (0.7, 0.3, 1)):
        expected = dims * sigma**2 / distance**2
        hints = {
            2 * expected: "there is a 2 in the denominator of the definition.",
            expected / 2: "the numerator is the sum of both classes' variances.",
            expected / dims: "the squared distance to the mean adds up over dimensions.",
            dims * sigma / distance**2: "a variance is the square of a standard deviation.",
            dims * sigma**2 / distance: "the distance between the means is squared, too.",
            ELSE: f"for sigma {sigma:g}, distance {distance:g} and {dims} dimensions, another "
            "value was expected: what is the mean squared length of a Gaussian vector in that many "
            "dimensions?",
        }
        near(call(formula, sigma, distance, dims), expected, hints, 1e-6 * expected)
    return (
        "D sigma^2 / d^2. NCC accuracy of the same two clouds does not depend on D: only the "
        "direction from mean to mean matters. CDNV adds up the width in all directions."
    )


@checker
def check_ncc(ncc: Any) -> str:
    """NCC accuracy on held-out points, in numpy."""
    rng = np.random.default_rng(0)
    for k, d, n in (
        (6, 5, 500),
        (3, 2, 300),
        (20, 40, 700),
    ):  # by luck one rule may be like another
        means = rng.normal(size=(k, d)) + 1
        y, z = rng.integers(0, k, 80), rng.integers(0, k, n)
        y[:k] = np.arange(k)
        x, x_test = (means[labels] + rng.normal(size=(len(labels), d)) for labels in (y, z))
        rule = NearestCentroid().fit(x, y)
        hints = {
            rule.score(x, y): "that is the accuracy on the points that made the means.",
            NearestCentroid().fit(x_test, z).score(x_test, z): "the means have to come from the "
            "training points.",
            ELSE: "expected the share of test points whose nearest class mean, by Euclidean "
            "distance, is that of their own class, with means of the training points.",
        }
        near(call(ncc, x, y, x_test, z), rule.score(x_test, z), hints)
    return "that is all: K means, N times K distances, one argmin."


@checker
def check_simplex(simplex: Any) -> str:
    """A function of K that gives means with NC2 at zero."""
    for k in (3, 5, 8):
        means = array_of(call(simplex, k))
        if means.ndim != 2 or len(means) != k:
            raise NotYet(f"for K = {k} expected an array [{k}, D]; this has shape {means.shape}.")
        if means.shape[1] > 1000:
            raise NotYet(f"{means.shape[1]} dimensions are many; about K are enough.")
        noise = 1e-3 * np.random.default_rng(0).normal(size=(20, k, means.shape[1]))
        noise -= noise.mean(axis=0)  # the class means stay where they were put
        labels = np.tile(np.arange(k), 20)
        try:
            found = neural_collapse((means + noise).reshape(20 * k, -1), labels)
        except ValueError as error:
            raise NotYet(f"the measure cannot be computed for these means: {error}") from error
        if found.nc2_equinorm > 1e-6:
            raise NotYet(
                f"for K = {k} the centred means differ in length (NC2 lengths "
                f"{found.nc2_equinorm:.3f})."
            )
        if found.nc2_equiangular > 1e-6:
            raise NotYet(
                f"for K = {k} the angles between the centred means are not all the same (NC2 "
                f"angles {found.nc2_equiangular:.3f}). How many dimensions does it take for K "
                "directions with equal angles between them?"
            )
    return (
        "a regular simplex: K points, all equally far from each other. After centring, every two "
        "have the cosine -1/(K-1), and no K directions can be farther apart than that."
    )


@checker
def check_mended(nearest: Any) -> str:
    """A search in float32 products that survives a large offset."""
    rng = np.random.default_rng(0)
    x, centres = rng.normal(size=(400, 200)), rng.normal(size=(50, 200))
    truth = by_differences(x, centres)
    for offset in (0.0, 1e4, 1e6):
        found = array_of(call(nearest, x + offset, centres + offset))
        if found.shape != truth.shape:
            raise NotYet(f"expected {len(truth)} row numbers; this has shape {found.shape}.")
        share = np.mean(found == truth)
        if share < 0.999 and not offset:
            raise NotYet(
                f"even without an offset, only {share:.1%} of the answers are right. Distances do "
                "not change if `x` and `centres` move by the same vector and nothing else is done "
                "to them."
            )
        if share < 0.999:
            naive = np.mean(in_float32(x + offset, centres + offset) == truth)
            raise NotYet(
                f"at an offset of {offset:g}, {share:.1%} of the answers are right (the naive "
                f"search: {naive:.1%}). Which numbers are large, and do they have to be? The order "
                "matters: after a cast to float32 it is too late."
            )
    pair = np.stack([rng.permutation(50)[:2] for _ in range(400)])
    toward = 1e-10 * rng.choice([-1, 1], size=(400, 1))  # of the way from one to the other
    between = centres[pair[:, 0]] + (0.5 + toward) * (centres[pair[:, 1]] - centres[pair[:, 0]])
    nearer = np.where(toward[:, 0] < 0, pair[:, 0], pair[:, 1])
    found = array_of(call(nearest, between, centres))
    if found.shape != nearer.shape or np.mean(found == nearer) > 0.75:
        raise NotYet(
            "your search is right even for points that are nearer to one centre than to another by "
            "a ten-billionth, which float32 cannot resolve: it still computes in float64. Move "
            "everything first, then cast, then compute the products."
        )
    return (
        "distances do not change when everything moves, so move it to where float32 is precise: "
        "near zero. It takes one line, which has to come before the cast."
    )


@checker
def check_wide(cloud: Any) -> str:
    """Two classes that NCC calls clustered and CDNV does not."""
    pair = isinstance(cloud, (tuple, list)) and len(cloud) == 2
    if not pair or any(part is None for part in cloud):
        raise NotYet("the answer is empty. Return a pair X [N, D], y [N].")
    x, y = _points(cloud[0]), _labels(cloud[1])
    if x.size > 2e7:
        raise NotYet(f"{x.size:.0e} numbers are many; a smaller cloud is enough.")
    try:
        right, wide = np.equal(NearestCentroid().fit(x, y).predict(x), y), cdnv(x, y)
    except (ValueError, IndexError) as error:
        raise NotYet(f"the measures cannot be computed for this cloud: {error}") from error
    accuracy, each = right.mean(), {k: right[y == k].mean() for k in np.unique(y)}
    if accuracy < 0.99:
        where = (
            "Along one axis the classes are well apart, but their means differ along others too: "
            "are they where you put them? The mean of widely spread draws strays from its centre."
            if _along_one_axis(x, y) >= 0.99
            else "It depends only on how wide the classes are in the direction from one mean to "
            "the other."
        )
        raise NotYet(f"NCC accuracy is {accuracy:.1%}; 99% is the goal. {where}")
    if wide < 10:
        raise NotYet(
            f"NCC accuracy is {accuracy:.1%}, as it should be, and CDNV is {wide:.2g}; 10 is the "
            "goal. In which directions can a class be wide without being mistaken for another?"
        )
    worst = min(each, key=lambda k: each[k])
    if each[worst] < 0.9:
        raise NotYet(
            f"NCC accuracy is {accuracy:.1%}, but only {each[worst]:.0%} in class {worst}: a large "
            "class hides that this one cannot be separated."
        )
    if _share_by_lot(x, y) > 0.5:
        raise NotYet(
            "with permuted labels, your cloud reaches both numbers as well: in so many dimensions "
            "every point is near a mean that it helped to make, and fresh points would not be. "
            "Take fewer dimensions or more points, and let the classes differ."
        )
    return (
        f"NCC accuracy {accuracy:.1%}, CDNV {wide:.3g}. Neither is wrong: one measures whether "
        "classes can be separated, the other whether they are small. Collapse is more than "
        "separation."
    )


def _points(x: Any) -> np.ndarray:
    """Points as float64, also of tensors that NumPy does not take as they are."""
    return array_of(x.detach().double().cpu() if isinstance(x, torch.Tensor) else x)


def _labels(y: Any) -> np.ndarray:
    try:
        labels = np.asarray(y.cpu() if isinstance(y, torch.Tensor) else y)
    except Exception as error:  # whatever the answer's own conversion raises
        raise NotYet(f"expected labels y [N] ({error}).") from None
    if labels.dtype == object:
        raise NotYet("expected labels y [N] of one kind: integers, say.")
    return labels


def _share_by_lot(x: np.ndarray, y: np.ndarray, draws: int = 20) -> float:
    """For which share of permutations of the labels the cloud does what is asked."""
    rng, found = np.random.default_rng(0), 0
    for _ in range(draws):
        z = rng.permutation(y)
        try:
            found += NearestCentroid().fit(x, z).score(x, z) >= 0.99 and cdnv(x, z) >= 10
        except UndefinedMeasure:  # class means that coincide
            continue
    return found / draws


def _along_one_axis(points: np.ndarray, labels: np.ndarray) -> float:
    """NCC accuracy along the axis that tells the classes apart best."""
    groups = [points[labels == k] for k in np.unique(labels)]
    between = np.var([group.mean(axis=0) for group in groups], axis=0)
    within = np.mean([group.var(axis=0) for group in groups], axis=0)
    best = points[:, [int(np.argmax(between / (within + 1e-12)))]]
    return NearestCentroid().fit(best, labels).score(best, labels)
