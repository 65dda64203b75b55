"""bfloat16 where the device has it, float32 elsewhere, and which of the two it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from ssl_companion.data.images import ImageSet
from ssl_companion.training import runtime as module
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.extract import extract
from ssl_companion.training.run import read_run
from ssl_companion.training.runtime import autocast, computed

from .conftest import CPU, CUDA, Make

NETWORK = make_backbone("res-1-4", seed=0).eval()
PIXEL = torch.zeros((1, 3, 16, 16), dtype=torch.uint8)


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """processor(has): from now on the processor has bfloat16, or has not."""

    def be(has: bool) -> None:
        monkeypatch.setattr(module, "_cpu_has_bfloat16", lambda: has)

    return be


@pytest.mark.parametrize(
    ("asked", "has", "expected"),
    [("bf16", True, torch.bfloat16), ("bf16", False, torch.float32), ("fp32", True, torch.float32)],
)
def test_a_step_computes_what_the_processor_has(
    new_trainer: Make, processor: Callable[[bool], None], asked: str, has: bool, expected: object
) -> None:
    processor(has)
    trainer, found = new_trainer(precision=asked), set()
    for layer in trainer.learner.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output: found.add(output.dtype))
    trainer.train_step()
    assert found == {expected}


def test_without_instructions_bf16_is_fp32_to_the_bit(
    images: ImageSet, processor: Callable[[bool], None]
) -> None:
    backbone = make_backbone("res-1-4", seed=0).eval()
    exact = extract(backbone, images.images, precision="fp32")
    processor(False)
    found = extract(backbone, images.images, precision="bf16")
    assert all(torch.equal(found[name], exact[name]) for name in exact)
    processor(True)
    rounded = extract(backbone, images.images, precision="bf16")
    assert not any(torch.equal(rounded[name], exact[name]) for name in exact)
    for name, values in rounded.items():
        assert values.dtype == torch.float32
        assert (values - exact[name]).norm() < 0.02 * exact[name].norm()


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 0), "fp32"), ((7, 5), "fp32"), ((8, 0), "bf16"), ((8, 9), "bf16"), ((10, 0), "bf16")],
)
def test_a_gpu_before_ampere_has_no_bfloat16(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert computed("bf16", CUDA) == expected
    assert computed("fp32", CUDA) == "fp32"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": True}, False),
    ],
)
def test_what_a_processor_says_of_itself(
    monkeypatch: pytest.MonkeyPatch, known: Mapping[str, Any], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert module._cpu_has_bfloat16.__wrapped__() is expected


@pytest.mark.parametrize("name", ["_is_avx512_bf16_supported", "_is_amx_tile_supported", ""])
def test_an_older_torch_is_asked_by_its_own_names(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for known in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, known, lambda known=known: known == name, raising=False)
    assert module._cpu_has_bfloat16.__wrapped__() is bool(name)
    if not name:  # of one that has not even these
        monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
        monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
        assert module._cpu_has_bfloat16.__wrapped__() is False


def test_the_operating_system_agrees() -> None:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        pytest.skip("no /proc/cpuinfo on this system")
    flags = set(path.read_text().split())
    assert (computed("bf16", CPU) == "bf16") == bool(flags & {"avx512_bf16", "amx_bf16"})


@pytest.mark.parametrize(
    "use", [computed, autocast, lambda precision, _: extract(NETWORK, PIXEL, precision=precision)]
)
def test_an_unknown_precision(use: Callable[[str, torch.device], object]) -> None:
    with pytest.raises(ValueError, match="precision: 'fp16'; expected 'bf16' or 'fp32'"):
        use("fp16", CPU)


def test_a_run_says_in_what_it_was_computed(
    tmp_path: Path, trained: Make, tiny: Make, processor: Callable[[bool], None]
) -> None:
    config = tiny(precision="bf16")
    processor(False)
    assert not trained(tmp_path, config, minutes=1e-9)
    assert read_run(tmp_path)["computed"] == "fp32"
    processor(True)  # it goes on on another machine
    assert not trained(tmp_path, config, minutes=1e-9)
    assert read_run(tmp_path)["computed"] == "fp32 and bf16"
    assert trained(tmp_path, config)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["computed"], run["config"]["precision"]) == ("fp32 and bf16", "bf16")
