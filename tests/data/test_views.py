"""What is made: each view against torchvision's transforms of that image by itself.

Compiled, on a GPU and under autocast it is the same as plainly on a CPU.
"""

from __future__ import annotations

import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from ssl_companion.data import augmentation
from ssl_companion.data.augmentation import ViewConfig, ViewParameters

ALL = ViewConfig(jitter=1.0, grey=0.3, solarise=0.3, brightness=0.8, contrast=0.8, hue=0.5)
STILL = ViewConfig(scale=(1, 1), ratio=(1, 1), flip=0, jitter=0, grey=0, solarise=0)
STEPS = ("crop", "flip", "brightness", "contrast", "saturation", "hue", "grey", "solarise")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int, height: int = 32, width: int = 32, seed: int = 0) -> torch.Tensor:
    """uint8 images with smooth parts, grey parts, saturated parts and noise."""
    g = seeded(seed)
    coarse = torch.rand((n, 3, 4, 4), generator=g) * 1.6 - 0.3
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    noise = torch.rand((n, 3, height, width), generator=g)
    x = torch.where(torch.rand((n, 1, 1, 1), generator=g) < 0.3, noise, smooth).clamp(0, 1)
    x[:, :, : height // 4] = x[:, :1, : height // 4]  # no chroma: no hue
    return (x * 255).round().to(torch.uint8)


def neutral(n: int, height: int = 32, width: int = 32) -> ViewParameters:
    p = augmentation.draw_parameters(n, STILL, seeded(), height, width)
    return replace(p, box=torch.tensor([0, 0, height, width]).expand(n, 4))


def one_by_one(image, p: ViewParameters, i: int, f=oracle, steps=STEPS):
    """View i by torchvision's functional transforms `f`, of a tensor or a PIL image."""
    top, left, height, width = p.box[i].tolist()
    if "crop" in steps:
        image = f.resized_crop(image, top, left, height, width, list(p.size), antialias=True)
    if "flip" in steps and p.flip[i]:
        image = f.hflip(image) if f is oracle else f.horizontal_flip(image)
    if "brightness" in steps:
        image = f.adjust_brightness(image, p.brightness[i].item())
    if "contrast" in steps:
        image = f.adjust_contrast(image, p.contrast[i].item())
    if "saturation" in steps:
        image = f.adjust_saturation(image, p.saturation[i].item())
    if "hue" in steps:
        image = f.adjust_hue(image, p.hue[i].item())
    if "grey" in steps and p.grey[i]:
        image = f.rgb_to_grayscale(image, num_output_channels=3)
    if "solarise" in steps and p.solarise[i]:
        bright = 0.5 if isinstance(image, torch.Tensor) else 128
        image = f.solarize(image, bright)
    return image


@pytest.mark.parametrize(("height", "width"), [(32, 32), (17, 23), (64, 48), (5, 3)])
@pytest.mark.parametrize("functional", [oracle, v2.functional], ids=["v1", "v2"])
def test_views_equal_torchvisions_one_image_at_a_time(height, width, functional):
    images = pictures(60, height, width)
    p = augmentation.draw_parameters(60, ALL, seeded(), height, width)
    kept = images.clone()
    ours = augmentation.apply(images, p)
    assert ours.dtype == torch.float32
    assert torch.equal(images, kept)
    for i in range(60):
        theirs = one_by_one(images[i].float() / 255, p, i, functional)
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("step", STEPS)
def test_each_step_alone_equals_torchvisions(step):
    images, p = pictures(80), augmentation.draw_parameters(80, ALL, seeded(1))
    kept = {"crop": "box"}.get(step, step)
    alone = replace(neutral(80), **{kept: getattr(p, kept)})
    ours = augmentation.apply(images, alone)
    original = images.float() / 255
    for i in range(80):
        theirs = one_by_one(original[i], p, i, steps=(step,))
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=3e-6)
    assert (ours - original).abs().max() > 0.1  # the step did something


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("brightness", [0.0, 0.5, 1.0, 3.0]),
        ("contrast", [0.0, 0.5, 1.0, 3.0]),
        ("saturation", [0.0, 0.5, 1.0, 3.0]),
        ("hue", [-0.5, -1 / 3, 1 / 6, 0.5]),
    ],
)
def test_extreme_factors_on_the_corners_of_the_colour_cube(name, values):
    levels = [0, 1, 127, 128, 254, 255]
    colours = torch.cartesian_prod(*[torch.tensor(levels)] * 3).T.reshape(1, 3, 12, 18)
    images = colours.to(torch.uint8).expand(len(values), -1, -1, -1)
    p = replace(neutral(len(values), 12, 18), **{name: torch.tensor(values)})
    ours = augmentation.apply(images, p)
    for i in range(len(values)):
        theirs = one_by_one(images[i].float() / 255, p, i, steps=(name,))
        torch.testing.assert_close(ours[i], theirs, rtol=0, atol=3e-6)


@settings(max_examples=40, deadline=None)
@given(top=st.integers(0, 11), left=st.integers(0, 15), flip=st.booleans(), data=st.data())
def test_any_crop_ends_at_its_own_edge(top, left, flip, data):
    """The pixels outside of the box have no influence, down to boxes of a single pixel."""
    height = data.draw(st.integers(1, 12 - top))
    width = data.draw(st.integers(1, 16 - left))
    image = pictures(1, 12, 16)
    outside = torch.full_like(image, 255) - image
    inside = (..., slice(top, top + height), slice(left, left + width))
    outside[inside] = image[inside]
    p = replace(
        neutral(1, 12, 16),
        box=torch.tensor([[top, left, height, width]]),
        flip=torch.tensor([flip]),
    )
    ours = augmentation.apply(image, p)
    torch.testing.assert_close(ours, augmentation.apply(outside, p), rtol=0, atol=3e-6)
    for antialias in (False, True):
        theirs = oracle.resized_crop(
            image.float() / 255, top, left, height, width, [12, 16], antialias=antialias
        )
        theirs = oracle.hflip(theirs) if flip else theirs
        torch.testing.assert_close(ours, theirs, rtol=0, atol=3e-6)


def test_views_resemble_those_of_the_8_bit_pipeline():
    """PIL rounds after every step and turns hues in 256 steps, so this is a coarse check."""
    images, p = pictures(60), augmentation.draw_parameters(60, ViewConfig(), seeded())
    ours = augmentation.apply(images, p).mul(255).permute(0, 2, 3, 1).numpy()
    for i in range(60):
        picture = Image.fromarray(images[i].permute(1, 2, 0).numpy())
        theirs = np.asarray(one_by_one(picture, p, i), dtype=np.float32)
        assert np.abs(ours[i] - theirs).mean() < 3


def test_views_that_vary_in_nothing_are_the_images():
    images = pictures(70)
    p = augmentation.draw_parameters(70, STILL, seeded())
    assert torch.equal(augmentation.apply(images, p), images.float() / 255)
    mirrored = replace(neutral(70), flip=torch.ones(70, dtype=torch.bool))
    assert torch.equal(augmentation.apply(images, mirrored), images.flip(-1).float() / 255)
    odd = pictures(70, 17, 23)
    ours = augmentation.apply(odd, neutral(70, 17, 23))
    torch.testing.assert_close(ours, odd.float() / 255, rtol=0, atol=3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floating_images_are_taken_in_unit_range(dtype):
    images, p = pictures(20), augmentation.draw_parameters(20, ViewConfig(), seeded())
    given = (images.double() / 255).to(dtype)
    kept = given.clone()
    augmentation.apply(given, neutral(20))
    ours = augmentation.apply(given, p)
    assert torch.equal(given, kept)
    assert ours.dtype == torch.float32
    tolerance = 5e-3 if dtype is torch.float16 else 1e-6
    torch.testing.assert_close(ours, augmentation.apply(images, p), rtol=0, atol=tolerance)


def test_views_stay_in_unit_range_and_finite():
    extreme = torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8), torch.eye(8).expand(3, 8, 8)])
    drawn = augmentation.draw_parameters(300, replace(ALL, strength=1.0), seeded(), 8, 8)
    ours = augmentation.apply(extreme.repeat(100, 1, 1, 1), drawn)
    assert ours.min() >= -1e-6
    assert ours.max() <= 1 + 1e-6


@pytest.mark.parametrize("world", [2, 3])
def test_a_slice_of_a_global_batch_gets_the_same_views(world):
    """Also across the blocks that a CPU works in: 150 images are two whole ones and a rest."""
    images, p = pictures(150), augmentation.draw_parameters(150, ALL, seeded())
    whole = augmentation.apply(images, p)
    for rank in range(world):
        mine = slice(rank, None, world)
        assert torch.equal(augmentation.apply(images[mine], p[mine]), whole[mine])
    order = torch.randperm(150, generator=seeded())
    assert torch.equal(augmentation.apply(images[order], p[order]), whole[order])
    assert torch.equal(augmentation.apply(images[99:100], p[99:100]), whole[99:100])


def test_memory_layout_does_not_matter():
    images, p = pictures(20), augmentation.draw_parameters(20, ALL, seeded())
    expected = augmentation.apply(images, p)
    turned = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(augmentation.apply(turned, p), expected, rtol=0, atol=1e-6)
    assert expected.is_contiguous()


def test_normalise_equals_torchvisions():
    x = pictures(10).float() / 255
    theirs = oracle.normalize(x, augmentation.CIFAR_MEAN, augmentation.CIFAR_STD)
    torch.testing.assert_close(augmentation.normalise(x), theirs)
    other = augmentation.normalise(x, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))
    torch.testing.assert_close(other, oracle.normalize(x, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)))


def test_the_constants_of_a_device_are_made_once(monkeypatch):
    x = torch.rand((2, 3, 4, 4), generator=seeded())
    mean, std = (0.51, 0.41, 0.31), (0.11, 0.21, 0.31)
    with torch.inference_mode():  # as features are read
        expected = augmentation.normalise(x, mean, std)
    made = []
    real = torch.tensor
    monkeypatch.setattr(torch, "tensor", lambda *a, **k: made.append(a) or real(*a, **k))
    # What was made there serves a gradient, too.
    leaf = x.clone().requires_grad_()
    found = augmentation.normalise(leaf, list(mean), np.array(std))
    found.sum().backward()
    assert not made
    assert torch.equal(found, expected)
    by_hand = (1 / real(std)).view(1, 3, 1, 1).expand_as(x)
    torch.testing.assert_close(leaf.grad, by_hand)
    assert augmentation.normalise(x.double(), mean, std).dtype == torch.float64
    assert len(made) == 2


@pytest.mark.parametrize(
    ("images", "parameters", "message"),
    [
        (pictures(4)[0], neutral(4), r"images: a tensor of shape \(3, 32, 32\); expected \[N"),
        (pictures(4)[:, :1], neutral(4), r"images: a tensor of shape \(4, 1, 32, 32\)"),
        (pictures(4).long(), neutral(4), r"images: of type torch.int64; expected uint8"),
        (pictures(4), neutral(4)[:3], "parameters: of 3 views; expected 4"),
        (pictures(4)[:, :, :24], neutral(4), r"of \(32, 32\); expected \(24, 32\)"),
        (pictures(4), neutral(4).to("meta"), r"on meta; expected cpu.*\.to\(\)"),
    ],
    ids=["three axes", "one channel", "integers", "number", "size", "device"],
)
def test_what_does_not_fit_is_refused(images, parameters, message):
    with pytest.raises(ValueError, match=message):
        augmentation.apply(images, parameters)


# --- devices and compilation


def test_the_number_of_threads_stays():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        augmentation.apply(pictures(4), augmentation.draw_parameters(4, ALL, seeded()))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "backend",
    [
        "aot_eager",
        pytest.param("inductor", marks=[
            pytest.mark.slow,
            pytest.mark.skipif(shutil.which("c++") is None, reason="Inductor needs a compiler"),
        ]),
    ],
)  # fmt: skip
def test_compiled_in_one_graph_views_are_the_same(backend):
    torch.compiler.reset()
    compiled = torch.compile(augmentation.apply, fullgraph=True, backend=backend)
    images = pictures(24)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(3):  # other values, the same graph
            p = augmentation.draw_parameters(24, ALL, seeded(seed))
            torch.testing.assert_close(
                compiled(images, p), augmentation.apply(images, p), rtol=0, atol=1e-5
            )
    torch.compiler.reset()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_views_on_a_gpu_equal_those_on_the_cpu():
    images, p = pictures(300), augmentation.draw_parameters(300, ALL, seeded())
    on_gpu = augmentation.apply(images.cuda(), p.to("cuda"))
    torch.testing.assert_close(on_gpu.cpu(), augmentation.apply(images, p), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="parameters: on cpu; expected cuda"):
        augmentation.apply(images.cuda(), p)
    # What a generator on the GPU draws stays there.
    native = augmentation.draw_parameters(300, ALL, torch.Generator("cuda").manual_seed(0))
    assert all(getattr(native, f.name).is_cuda for f in fields(native) if f.name != "size")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        autocast = augmentation.apply(images.cuda(), p.to("cuda"))
    assert torch.equal(autocast, on_gpu)
