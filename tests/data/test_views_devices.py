"""Views compiled, on a GPU and under autocast: the same as plainly on a CPU."""

from __future__ import annotations

import shutil
from dataclasses import fields

import pytest
import torch

from ssl_companion.data import augmentation
from ssl_companion.data.augmentation import ViewConfig

ALL = ViewConfig(jitter=1.0, grey=0.3, solarise=0.3, hue=0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 32, 32), dtype=torch.uint8, generator=seeded())


def test_the_number_of_threads_stays():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        augmentation.apply(pictures(4), augmentation.draw_parameters(4, ALL, seeded()))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def _agrees_when_compiled(backend: str) -> None:
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


def test_one_graph_without_breaks_or_recompilation():
    _agrees_when_compiled("aot_eager")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="Inductor needs a C++ compiler")
def test_compiled_views_are_the_same():
    _agrees_when_compiled("inductor")


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
