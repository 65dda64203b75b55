"""What can be measured of an encoder, by name: question, unit, paper and cost of each measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class About:
    """What a reader should know of a measure before reading its number.

    Attributes:
        title: what it is called in tables and figures.
        question: what it answers, in one sentence.
        unit: the unit of its values.
        range: between which they lie.
        clustered: "higher" or "lower", whichever means more clustered classes; None where the
            measure does not say.
        paper: who proposed it, and when.
        link: to that paper.
        cost: of N training images, M test images, D dimensions and K classes. Where it names n and
            m, these are at most `subset_size` of `measure_encoder`.
        of: "accuracy" (of a rule fitted on training images, on test images), "classes" (of the
            training images and their labels) or "features" (of the test images without labels).

    Example:
        >>> CATALOGUE["cdnv"].title, CATALOGUE["cdnv"].clustered
        ('CDNV', 'lower')
    """

    title: str
    question: str
    unit: str
    range: str
    clustered: Literal["higher", "lower"] | None
    paper: str
    link: str
    cost: str
    of: Literal["accuracy", "classes", "features"]


_SHARE = "fraction of images"
_NONE = "no unit"
_PAPYAN = "Papyan, Han, Donoho 2020", "https://doi.org/10.1073/pnas.2015509117"

#: By the names that `measure_encoder(which=...)` takes. `measures.alignment` is not among them: it
#: compares two views of each image.
CATALOGUE: dict[str, About] = {
    "ncc": About(
        "NCC accuracy",
        "How many test images lie nearest to the mean of their own class?",
        _SHARE, "0 to 1", "higher", *_PAPYAN,
        "one pass over the training images for the class means, M K D for the test images",
        "accuracy",
    ),
    "cdnv": About(
        "CDNV",
        "How wide are two classes beside the distance of their means, on average?",
        _NONE, "0 and above", "lower",
        "Galanti, György, Hutter 2022", "https://arxiv.org/abs/2112.15121",
        "one pass, N D; and K² D for the pairs",
        "classes",
    ),
    "directional_cdnv": About(
        "directional CDNV",
        "How wide are two classes along the line between their means, beside its length?",
        _NONE, "0 to CDNV", "lower",
        "Luthra, Yang, Galanti 2025", "https://arxiv.org/abs/2506.04411",
        "two passes, N K D",
        "classes",
    ),
    "nc1": About(
        "NC1",
        "How large is the spread within classes beside that of their means, by direction?",
        _NONE, "0 and above", "lower", *_PAPYAN,
        "one pass, N D²",
        "classes",
    ),
    "nc2_equinorm": About(
        "NC2, equal norms",
        "How much do class means differ in their distance from the mean of all images?",
        _NONE, "0 and above", "lower", *_PAPYAN,
        "one pass, N D²",
        "classes",
    ),
    "nc2_equiangular": About(
        "NC2, equal angles",
        "How far are the angles between class means from equal and as wide as they can be?",
        "cosine", "0 to 2", "lower", *_PAPYAN,
        "one pass, N D²; and K² D for the pairs",
        "classes",
    ),
    "nc3": About(
        "NC3",
        "How far do the weights of the linear probe point away from the class means?",
        _NONE, "0 to 4", "lower", *_PAPYAN,
        "one pass, N D²; and the linear probe",
        "classes",
    ),
    "nc4": About(
        "NC4",
        "On how many training images do the linear probe and the nearest class mean agree?",
        _SHARE, "0 to 1", "higher", *_PAPYAN,
        "one pass, N D; the linear probe; and n K D",
        "classes",
    ),
    "effective_rank": About(
        "RankMe (effective rank)",
        "How many directions do the features use?",
        "directions", "1 to min(m, D)", None,
        "Garrido, Balestriero, Najman, LeCun 2023", "https://arxiv.org/abs/2210.02885",
        "m D²",
        "features",
    ),
    "alpha_req": About(
        "α-ReQ",
        "How fast does the variance fall from one principal direction to the next?",
        "exponent", "0 and above", None,
        "Agrawal, Mondal, Ghosh, Richards 2022", "https://papers.neurips.cc/paper_files/paper/2022/hash/"
        "70596d70542c51c8d9b4e423f4bf2736-Abstract-Conference.html",
        "m D²",
        "features",
    ),
    "participation_ratio": About(
        "participation ratio",
        "How many directions share the variance of the features?",
        "directions", "1 to min(m - 1, D)", None,
        "Gao et al. 2017", "https://doi.org/10.1101/214262",
        "m D²",
        "features",
    ),
    "uniformity": About(
        "uniformity",
        "How evenly do the features, divided by their length, lie on the sphere?",
        "logarithm (nats)", "-8 to 0, lower is more even", None,
        "Wang, Isola 2020", "https://arxiv.org/abs/2005.10242",
        "m² D / 2",
        "features",
    ),
    "linear": About(
        "linear probe accuracy",
        "How many test images does a linear classifier of the features get right?",
        _SHARE, "0 to 1", None,
        "Alain, Bengio 2017", "https://arxiv.org/abs/1610.01644",
        "up to some 300 passes, n K D each",
        "accuracy",
    ),
    "knn": About(
        "kNN accuracy",
        "How many test images does a vote of the most similar training images get right?",
        _SHARE, "0 to 1", "higher",
        "Wu, Xiong, Yu, Lin 2018", "https://arxiv.org/abs/1805.01978",
        "n m D",
        "accuracy",
    ),
}  # fmt: skip
