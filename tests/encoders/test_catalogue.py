"""What is said of every measure: complete, and true of the table that it describes."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest

from ssl_companion.encoders.catalogue import CATALOGUE
from ssl_companion.encoders.evaluate import FURTHER_MEASURES, MEASURES, measure_encoder


def test_it_has_every_measure_that_can_be_asked_for() -> None:
    asked = (
        "ncc", "cdnv", "directional_cdnv", "nc1", "nc2_equinorm", "nc2_equiangular", "nc3", "nc4",
        "effective_rank", "alpha_req", "participation_ratio", "uniformity", "linear", "knn",
    )  # fmt: skip
    assert set(CATALOGUE) == set(asked) == {*MEASURES, *FURTHER_MEASURES}
    assert MEASURES == ("ncc", "cdnv", "nc1", "effective_rank", "linear", "knn")


@pytest.mark.parametrize("name", CATALOGUE)
def test_each_says_what_it_is_in_words_of_its_own(name: str) -> None:
    about = CATALOGUE[name]
    assert all(value or field == "clustered" for field, value in dataclasses.asdict(about).items())
    assert re.fullmatch(r"(How|On how) [^?]+\?", about.question)
    assert re.fullmatch(r".+ \d{4}", about.paper)
    assert about.link.startswith("https://")
    titles = [other.title for other in CATALOGUE.values()]
    assert titles.count(about.title) == 1


def bounds(words: str) -> tuple[float, float]:
    """Of ranges such as "0 to 1" or "0 and above"."""
    low, high = re.match(r"(-?\d+)(?: to (\d+))?", words).groups()  # type: ignore[union-attr]
    return float(low), float(high) if high else math.inf


def test_values_lie_in_their_ranges_and_move_in_the_direction_that_is_said() -> None:
    rng, y = np.random.default_rng(0), np.repeat(np.arange(5), 60)
    means, noise = 2 * rng.normal(size=(5, 8)), rng.normal(size=(300, 8))
    loose, tight = (
        measure_encoder(None, means[y] + spread * noise, y, which="all").query("level!='permuted'")
        .set_index("measure")["value"] for spread in (3.0, 0.3)
    )  # fmt: skip
    assert set(loose.index) == set(CATALOGUE)
    for name, about in CATALOGUE.items():
        low, high = bounds(about.range)
        assert low <= loose[name] <= high
        assert low <= tight[name] <= high
        # NC2 is of the means' own geometry, and the probe's weights follow it, for NC3.
        if about.clustered and not name.startswith(("nc2", "nc3")):
            sign = 1 if about.clustered == "higher" else -1
            assert sign * (tight[name] - loose[name]) > 0, name
    assert loose["directional_cdnv"] < loose["cdnv"]
