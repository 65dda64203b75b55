"""The door to FAISS: what searches where FAISS is absent, fails, or would end the process."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ssl_companion.measures import _faiss


def points() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn((40, 6), generator=g), torch.randn((25, 6), generator=g)


def imported_anew() -> ModuleType:
    """The module as a process finds it in which nothing of FAISS is loaded yet."""
    spec = importlib.util.spec_from_file_location("ssl_companion.measures._anew", _faiss.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("error", ["RuntimeError", "OSError", "ImportError"])
@pytest.mark.parametrize("kind", ["l2", "inner-product"])
def test_without_a_faiss_that_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, kind: _faiss.Kind
) -> None:
    x, base = points()
    expected = _faiss.nearest(x, base, 5, kind)
    (tmp_path / "faiss.py").write_text(f"raise {error}('no libcudart.so.12')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.split(".")[0] == "faiss"]:
        monkeypatch.delitem(sys.modules, name)
    module = imported_anew()
    with pytest.warns(RuntimeWarning, match=r"\(no libcudart.so.12\).*pip install faiss-cpu"):
        found = module.nearest(x, base, 5, kind)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-4)
    assert torch.equal(found[1], expected[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module.nearest(x, base, 5, kind)  # once is enough


class GPU:
    """A FAISS that searches on a GPU, or fails there as it is told."""

    StandardGpuResources = object()

    def __init__(self) -> None:
        self.searched: list[int] = []  # k of each search
        self.error: Exception | None = None

    def search(self, x: Tensor, base: Tensor, k: int, kind: str) -> tuple[Tensor, Tensor]:
        self.searched.append(k)
        if self.error is not None:
            raise self.error
        return x.new_zeros(len(x), k), x.new_zeros(len(x), k, dtype=torch.int64)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[GPU]:
    """CUDA tensors without numbers in them, and who searches."""
    library = GPU()
    monkeypatch.setattr(_faiss, "faiss", library)
    monkeypatch.setattr(_faiss, "_on_cuda", library.search)
    monkeypatch.setattr(_faiss, "_warned", set())
    with FakeTensorMode():
        yield library


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """k of each search that torch made."""
    calls: list[int] = []
    real = _faiss._by_torch

    def noted(x: Tensor, base: Tensor, k: int, kind: _faiss.Kind) -> tuple[Tensor, Tensor]:
        calls.append(k)
        return real(x, base, k, kind)

    monkeypatch.setattr(_faiss, "_by_torch", noted)
    return calls


def on_cuda(k: int) -> tuple[Tensor, Tensor]:
    x, base = (torch.empty((n, 6), device="cuda:0") for n in (40, 3000))
    return _faiss.nearest(x, base, k)


def test_faiss_searches_on_a_gpu_for_as_many_as_it_can(gpu: GPU, by_torch: list[int]) -> None:
    for k in (1, 2048, 2049, 3000):
        squares, rows = on_cuda(k)
        assert squares.shape == rows.shape == (40, k)
        assert squares.device.type == rows.device.type == "cuda"
    assert gpu.searched == [1, 2048]
    assert by_torch == [2049, 3000]


@pytest.mark.parametrize("error", [RuntimeError("cudaMalloc error"), ImportError("no SWIG")])
def test_torch_searches_where_faiss_fails_on_a_gpu(
    gpu: GPU, by_torch: list[int], error: Exception
) -> None:
    gpu.error = error
    with pytest.warns(RuntimeWarning, match=rf"FAISS failed on cuda:0 \({error}\)"):
        assert on_cuda(7)[1].shape == (40, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_cuda(8)
    assert gpu.searched == by_torch == [7, 8]


def test_faiss_for_the_cpu_beside_a_gpu(
    gpu: GPU, by_torch: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(GPU, "StandardGpuResources")
    on_cuda(3)
    assert (gpu.searched, by_torch) == ([], [3])
