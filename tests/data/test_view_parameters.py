"""What is drawn: boxes as torchvision draws them, frequencies, ranges, and how they slice."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from ssl_companion.data import augmentation
from ssl_companion.data.augmentation import ViewConfig, ViewParameters

MANY = 20_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tensors(parameters: ViewParameters) -> dict[str, torch.Tensor]:
    return {f.name: getattr(parameters, f.name) for f in fields(parameters) if f.name != "size"}


def same(a: ViewParameters, b: ViewParameters) -> bool:
    return a.size == b.size and all(torch.equal(v, tensors(b)[k]) for k, v in tensors(a).items())


@pytest.fixture(scope="module")
def many() -> ViewParameters:
    return augmentation.draw_parameters(MANY, ViewConfig(), seeded())


def torchvision_boxes(
    n: int, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> np.ndarray:
    image = torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        boxes = [RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(n)]
    return np.array(boxes)


@pytest.mark.parametrize(
    ("height", "width", "scale", "ratio"),
    [
        (32, 32, (0.2, 1.0), (3 / 4, 4 / 3)),
        (32, 32, (0.9, 1.0), (0.3, 3.0)),  # most tries do not fit
        (24, 40, (0.08, 1.0), (3 / 4, 4 / 3)),
        (96, 96, (0.01, 0.3), (0.5, 0.6)),
    ],
)
def test_boxes_are_distributed_as_torchvisions(height, width, scale, ratio):
    theirs = torchvision_boxes(4000, height, width, scale, ratio)
    config = ViewConfig(scale=scale, ratio=ratio)
    ours = augmentation.draw_parameters(MANY, config, seeded(), height, width).box.numpy()
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > 1e-3
    areas = [box[:, 2] * box[:, 3] for box in (ours, theirs)]
    shapes = [box[:, 3] / box[:, 2] for box in (ours, theirs)]
    corners = [box[:, 0] * width + box[:, 1] for box in (ours, theirs)]
    for a, b in (areas, shapes, corners):
        assert stats.ks_2samp(a, b).pvalue > 1e-3


@pytest.mark.parametrize(
    ("height", "width", "ratio"),
    [
        (8, 64, (3 / 4, 4 / 3)),
        (64, 8, (3 / 4, 4 / 3)),
        (57, 31, (2.0, 3.0)),
        (31, 57, (0.2, 0.21)),
        (32, 32, (1.5, 1.5)),
        (24, 40, (2.0, 2.0)),
        (24, 40, (1.0, 1.0)),
        (1, 9, (0.6, 0.7)),
        (1, 1, (3 / 4, 4 / 3)),
    ],
)
def test_the_central_box_where_no_try_fits(height, width, ratio):
    theirs = torchvision_boxes(20, height, width, (1.0, 1.0), ratio)
    assert len(np.unique(theirs, axis=0)) == 1  # no crop of the whole area has such a ratio
    ours = augmentation.draw_parameters(
        20, ViewConfig(scale=(1.0, 1.0), ratio=ratio), seeded(), height, width
    ).box
    assert np.array_equal(ours.numpy(), theirs)


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    low=st.floats(0.01, 1),
    high=st.floats(0.01, 1),
    ratio=st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)).map(sorted),
    seed=st.integers(0, 2**31),
)
def test_boxes_lie_inside_any_image(height, width, low, high, ratio, seed):
    config = ViewConfig(scale=(min(low, high), max(low, high)), ratio=tuple(ratio))
    top, left, h, w = augmentation.draw_parameters(
        50, config, seeded(seed), height, width
    ).box.unbind(1)
    for start, length, size in ((top, h, height), (left, w, width)):
        assert length.min() >= 1
        assert start.min() >= 0
        assert (start + length).max() <= size


@pytest.mark.parametrize("name", ["flip", "grey", "solarise"])
@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_frequencies_are_the_probabilities(name, probability):
    config = replace(ViewConfig(), **{name: probability})
    hits = int(getattr(augmentation.draw_parameters(MANY, config, seeded()), name).sum())
    if probability in (0, 1):
        assert hits == MANY * probability
    else:
        assert stats.binomtest(hits, MANY, probability).pvalue > 1e-3


def test_jitter_frequency_and_that_it_comes_all_at_once(many):
    jittered = many.hue != 0
    assert stats.binomtest(int(jittered.sum()), MANY, 0.8).pvalue > 1e-3
    for name in ("brightness", "contrast", "saturation"):
        assert torch.equal(getattr(many, name) != 1, jittered)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
def test_factors_are_uniform_in_their_ranges(strength):
    config = ViewConfig(brightness=0.7, contrast=0.4, saturation=0.2, hue=0.1, strength=strength)
    drawn = augmentation.draw_parameters(MANY, replace(config, jitter=1.0), seeded())
    ranges = {
        name: (max(0.0, 1 - strength * amount), 1 + strength * amount)
        for name, amount in (("brightness", 0.7), ("contrast", 0.4), ("saturation", 0.2))
    }
    ranges["hue"] = (-0.1 * strength, 0.1 * strength)
    for name, (low, high) in ranges.items():
        values = getattr(drawn, name).double().numpy()
        assert values.min() >= low - 1e-7
        assert values.max() <= high + 1e-7
        if strength:
            assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    assert drawn.grey.any()  # strength is about the jitter alone


def test_every_image_has_its_own_and_no_two_parameters_go_together(many):
    assert len(torch.unique(many.brightness)) > 0.75 * MANY
    own = replace(ViewConfig(), jitter=1.0)
    drawn = augmentation.draw_parameters(MANY, own, seeded())
    columns = [v.double().reshape(MANY, -1) for v in tensors(drawn).values()]
    columns[0] = columns[0][:, 2:].prod(1, keepdim=True)  # offsets depend on the box's size
    correlation = np.corrcoef(torch.cat(columns, 1).numpy().T)
    assert np.abs(correlation - np.eye(len(correlation))).max() < 5 / MANY**0.5


def test_the_generator_alone_decides():
    before = torch.random.get_rng_state()
    generator = seeded(3)
    first, second = (augmentation.draw_parameters(100, ViewConfig(), generator) for _ in range(2))
    assert same(first, augmentation.draw_parameters(100, ViewConfig(), seeded(3)))
    assert not same(first, second)
    assert not same(first, augmentation.draw_parameters(100, ViewConfig(), seeded(4)))
    assert torch.equal(before, torch.random.get_rng_state())  # the global one is not touched


def test_configurations_share_the_randomness_of_what_they_share():
    plain = augmentation.draw_parameters(100, ViewConfig(), seeded())
    without = augmentation.draw_parameters(
        100, replace(ViewConfig(), strength=0.0, grey=0.0), seeded()
    )
    assert torch.equal(plain.box, without.box)
    assert torch.equal(plain.flip, without.flip)
    assert torch.equal(plain.solarise, without.solarise)


def test_parameters_slice_like_tensors_and_travel_packed(many):
    assert len(many) == MANY
    for index in (slice(3, 40), slice(1, None, 4), [5, 2, 2], torch.tensor([7, 0])):
        part = many[index]
        assert part.size == many.size
        for name, values in tensors(many).items():
            assert torch.equal(tensors(part)[name], values[index])
    assert same(ViewParameters.unpacked(many.size, many.packed()), many)
    with pytest.raises(ValueError, match="index: 3; expected a slice"):
        many[3]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (0.0, 1.0)}, r"scale: \(0.0, 1.0\); expected \(low, high\)"),
        ({"scale": (0.5, 0.2)}, r"scale: \(0.5, 0.2\); expected"),
        ({"scale": (0.5, 1.5)}, r"scale: \(0.5, 1.5\); .*whole image"),
        ({"scale": 0.5}, r"scale: 0.5; expected \(low, high\)"),
        ({"ratio": (1.0, float("inf"))}, r"ratio: \(1.0, inf\); expected"),
        ({"ratio": (1.0,)}, r"ratio: \(1.0,\); expected"),
        ({"ratio": (float("nan"), 1.0)}, r"ratio: \(nan, 1.0\); expected"),
        ({"flip": 1.1}, "flip: 1.1; expected a probability"),
        ({"jitter": -0.1}, "jitter: -0.1; expected a probability"),
        ({"grey": float("nan")}, "grey: nan; expected a probability"),
        ({"solarise": 2}, "solarise: 2; expected a probability"),
        ({"brightness": -1.0}, "brightness: -1.0; expected a finite number of 0 or more"),
        ({"contrast": float("inf")}, "contrast: inf; expected a finite"),
        ({"saturation": float("nan")}, "saturation: nan; expected a finite"),
        ({"strength": -0.5}, "strength: -0.5; expected a finite"),
        ({"hue": 0.6}, "hue: 0.6, times strength 1.0; .*half a turn"),
        ({"hue": 0.3, "strength": 2.0}, "hue: 0.3, times strength 2.0; .*lower either"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ViewConfig(**wrong)


@pytest.mark.parametrize("name", ["n", "height", "width"])
@pytest.mark.parametrize("value", [0, -3, 2.0, True])
def test_sizes_that_make_no_sense_are_refused(name, value):
    arguments = {"n": 4, "height": 32, "width": 32, name: value}
    with pytest.raises(ValueError, match=f"{name}: {value}; expected an integer of 1 or more"):
        augmentation.draw_parameters(config=ViewConfig(), generator=seeded(), **arguments)
