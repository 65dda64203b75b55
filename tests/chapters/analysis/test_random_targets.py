"""The continuum of targets, on a student and a teacher whose numbers are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from ssl_companion.chapters.analysis import random_targets as way
from ssl_companion.recordings import Recording, RecordingError, open_recording
from ssl_companion.recordings.format import FEATURES, MEASURES, key

EPOCHS = {0: 0.0, 4: 0.4, 20: 0.8}  # the teacher's, and the share of its targets that are right
VALUES = {0: (0.5, 0.25), 4: (0.4, 0.4), 20: (0.2, 0.5)}  # the student's, before and after
N = 1000


@pytest.fixture(scope="module")
def pair(
    write_synthetic: Callable[..., Recording], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recording, Recording]:
    root = tmp_path_factory.mktemp("pair")
    student, teacher = (write_synthetic(f"{n}-s0", root=root) for n in ("student", "teacher"))
    tensors = safetensors.torch.load_file(teacher.path / FEATURES)
    rng, fine = np.random.default_rng(0), teacher.fine()
    for epoch, share in EPOCHS.items():
        right = rng.random(len(fine)) < share
        given = torch.from_numpy(np.where(right, fine, (fine + 1) % 100)).to(torch.uint8)
        tensors[key(epoch, "classifier", "targets.test")] = given
    safetensors.torch.save_file(tensors, teacher.path / FEATURES)
    rows = [
        (at, "block2", f"teacher-{epoch:03d}", "test", "linear", value, N)
        for epoch, both in VALUES.items()
        for at, value in zip((0, 20), both, strict=True)
    ]
    table = student.measures
    more = pd.DataFrame(rows, columns=table.columns)
    table = table[table["measure"] != "linear"]
    labels = more.iloc[:2].assign(level="fine", value=[0.1, 0.4])
    pd.concat([table, more, labels]).to_csv(student.path / MEASURES, index=False)
    return open_recording(student.path), open_recording(teacher.path)


def test_targets_run_from_the_most_random_to_the_labels(
    pair: tuple[Recording, Recording],
) -> None:
    table = way.continuum(*pair)
    ends = table[table["epoch"] == 20]
    assert ends["target"].tolist() == [
        "teacher at epoch 0", "teacher at epoch 4", "teacher at epoch 20", way.LABELS,
    ]  # fmt: skip
    np.testing.assert_allclose(ends["relative"], [0.5, 1.0, 2.5, 4.0])
    np.testing.assert_allclose(ends["agreement"], [0.0, 0.4, 0.8, 1.0], atol=0.05)
    assert ends["guess"].iloc[-1] == pytest.approx(0.01)


def test_intervals_hold_their_values_and_cover(pair: tuple[Recording, Recording]) -> None:
    table = way.continuum(*pair)
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()
    first = table[table["epoch"] == 0]
    assert (first[["relative", "relative_low", "relative_high"]] == 1).all().all()
    # Against draws of two independent accuracies: the interval has to be theirs, or wider.
    rng = np.random.default_rng(0)
    ratio = rng.binomial(N, 0.5, 20_000) / rng.binomial(N, 0.2, 20_000)
    row = table[(table["target"] == "teacher at epoch 20") & (table["epoch"] == 20)].iloc[0]
    low, high = np.quantile(ratio, [0.025, 0.975])
    assert row["relative_low"] == pytest.approx(low, rel=0.03)
    assert row["relative_high"] == pytest.approx(high, rel=0.03)
    accuracy = rng.binomial(N, row["value"], 20_000) / N
    assert [row["low"], row["high"]] == pytest.approx(
        np.quantile(accuracy, [0.025, 0.975]), abs=0.003
    )


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (0.0102, "lies inside"),
        (0.0128, "0.28 points above it"),
        (0.0070, "0.30 points below it"),
    ],
)
def test_random_labels_are_compared_with_chance_by_an_interval(last: float, words: str) -> None:
    test = [(0, 0.0101), (20, last)]
    rows = [(e, way.RANDOM_IMAGE, "test", v, 10_000) for e, v in test]
    rows += [(20, way.RANDOM_IMAGE, "train", 0.5, 50_000), (20, "fine", "test", 0.5, 10_000)]
    table = pd.DataFrame(rows, columns=["epoch", "level", "split", "value", "n"])
    said = way.chance_in_words(table, 0.01)
    assert said.startswith(f"At epoch 20, the accuracy on random labels is {last:.2%} of 10,000")
    assert words in said
    assert ("may be luck" in said) == (words != "lies inside")
    assert "50.00%" not in said


def test_break_even_is_where_the_ratio_crosses_one() -> None:
    def ends(gains: list[float]) -> pd.DataFrame:
        agreement = np.linspace(0, 0.3, len(gains))
        return pd.DataFrame({"epoch": 9, "agreement": agreement, "relative": 1 + np.array(gains)})

    assert way.break_even(ends([-0.5, -0.1, 0.3, 0.4])) == pytest.approx(0.125)
    assert way.break_even(ends([0.3, -0.1, 0.1, 0.4])) == pytest.approx(0.15)
    assert way.break_even(ends([-0.2, 0.0, 0.2, 0.3])) == pytest.approx(0.1)
    assert np.isnan(way.break_even(ends([0.1, 0.2])))


def test_a_blind_guess_is_the_commonest_target(pair: tuple[Recording, Recording]) -> None:
    teacher = pair[1]
    found = way.blind_guess(teacher)
    assert list(found) == list(EPOCHS)
    for epoch, share in found.items():
        given = teacher.targets(epoch)
        assert share == max(np.mean(given == k) for k in range(100))


def test_halves_alternate_within_each_target(pair: tuple[Recording, Recording]) -> None:
    student, teacher = pair
    fit, judge, y = way.halves_of_kept(student, teacher, 4)
    assert not set(fit) & set(judge)
    given = teacher.targets(4)
    for k in range(100):
        own = set(np.flatnonzero(given == k).tolist())
        if len(own) < 2:
            assert not own & (set(fit) | set(judge))
            continue
        assert len(own & set(fit)) - len(own & set(judge)) in (0, 1)
        assert len({y[i] for i in own}) == 1
    assert set(y[fit]) == set(range(y.max() + 1)) == set(y[judge])


def test_a_student_without_a_teacher_says_so(clusters: Recording, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="not measured against"):
        way.continuum(clusters, clusters)
