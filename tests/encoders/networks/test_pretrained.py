"""The network that comes with the book: the recording's own, ready to use, and no other."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision.transforms import v2

import ssl_companion
from ssl_companion.__main__ import main
from ssl_companion.data import load
from ssl_companion.data.augmentation import CIFAR_MEAN, CIFAR_STD, normalise
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.inputs.labelled import halves
from ssl_companion.encoders.networks import known
from ssl_companion.encoders.networks.known import NETWORKS, Weights
from ssl_companion.encoders.networks.pretrained import pretrained
from ssl_companion.measures import NearestCentroid
from ssl_companion.recordings import Recording, RecordingError, open_recording
from ssl_companion.training.backbones import make_backbone
from ssl_companion.training.config import RunConfig

from ...conftest import run_json

ROOT = Path(__file__).resolve().parents[3]
NAME, RECORDING = "vicreg-res5-250", "reference-vicreg-s0"
LAYERS = ("stem", "block1", "block2")


def write(folder: Path, seed: int = 0) -> Recording:
    """A recording's folder with nothing but run.json and a small network."""
    folder.mkdir(parents=True)
    network = make_backbone("res-2-6", seed=seed)
    state = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    safetensors.torch.save_file(state, folder / "weights.safetensors")
    run = run_json(
        RunConfig(backbone="res-2-6"), title="tiny", layers=LAYERS, epochs=[0],
        data={"stand_in": False}, sha256={"weights.safetensors": digest(folder)},
    )  # fmt: skip
    (folder / "run.json").write_text(json.dumps(run))
    return open_recording(folder)


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """A small recording in the place of the real one, under its name."""
    recording = write(tmp_path / "recordings" / RECORDING)
    own = {NAME: Weights(RECORDING, digest(recording.path))}
    monkeypatch.setattr(known, "NETWORKS", own)
    return recording


def images(n: int, height: int = 32, width: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 3, height, width), dtype=torch.uint8, generator=generator)


def test_the_pinned_digest_is_that_of_the_recording_in_the_tree() -> None:
    for name, weights in NETWORKS.items():
        folder = ROOT / "book/recordings" / weights.recording
        said = json.loads((folder / "run.json").read_text())["sha256"]["weights.safetensors"]
        assert weights.sha256 == digest(folder) == said, name


def test_the_books_own_network_is_the_recordings() -> None:
    recording, encoder = open_recording(RECORDING), pretrained(NAME)
    assert encoder.layers == recording.layers == ("stem", *(f"block{i}" for i in range(1, 6)))
    x, theirs = encoder.preprocess(images(3)), recording.backbone()
    with torch.no_grad():
        assert torch.equal(encoder(x), theirs(x))
    assert encoder(x).shape == (3, encoder.width) == (3, 250)


def test_it_is_frozen_in_evaluation_mode_and_the_network_of_the_recording(tiny: Recording) -> None:
    encoder, theirs = pretrained(NAME, root=tiny.path.parent), tiny.backbone()
    assert not any(part.training for part in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())
    assert all(p.dtype == torch.float32 for p in encoder.parameters())
    x = encoder.preprocess(images(4))
    assert torch.equal(encoder(x), theirs(x))
    assert encoder.width == 6
    again = encoder.requires_grad_(True).train()
    again(x).sum().backward()
    assert all(p.grad is not None for p in again.parameters())


def test_every_layer_can_be_the_one_that_is_returned(tiny: Recording) -> None:
    whole = pretrained(NAME, root=tiny.path.parent)
    x = whole.preprocess(images(4))
    assert whole.layers == LAYERS
    assert whole.layer == "block2"
    features = whole.features(x)
    assert list(features) == list(LAYERS)
    for layer in LAYERS:
        one = pretrained(NAME, layer=layer, root=tiny.path.parent)
        assert one.layer == layer
        assert torch.equal(one(x), features[layer])


def test_preprocess_scales_normalises_and_resizes_as_torchvision_does(tiny: Recording) -> None:
    encoder = pretrained(NAME, root=tiny.path.parent)
    assert (encoder.mean, encoder.std, encoder.size) == (CIFAR_MEAN, CIFAR_STD, 32)
    chain = v2.Compose(
        [
            v2.ToDtype(torch.float32, scale=True),
            v2.Resize((32, 32), antialias=True),
            v2.Normalize(CIFAR_MEAN, CIFAR_STD),
        ]
    )
    for shape in ((32, 32), (97, 64), (20, 20), (32, 48)):
        x = images(2, *shape)
        torch.testing.assert_close(encoder.preprocess(x), chain(x), rtol=1e-5, atol=1e-5)
        assert torch.equal(encoder.preprocess(x.numpy()), encoder.preprocess(x))
    read_only = images(2).numpy()
    read_only.flags.writeable = False  # as those of a memory map are
    assert encoder.preprocess(read_only).shape == (2, 3, 32, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (torch.rand(2, 3, 32, 32), r"^images: float32 of shape \(2, 3, 32, 32\); expected uint8"),
        (np.zeros((2, 32, 32, 3), np.uint8), r"^images: uint8 of shape \(2, 32, 32, 3\); expected"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), r"^images: uint8 of shape \(3, 32, 32\);"),
    ],
)
def test_preprocess_refuses_what_are_no_images_in_bytes(
    given: torch.Tensor, said: str, tiny: Recording
) -> None:
    with pytest.raises(ValueError, match=said):
        pretrained(NAME, root=tiny.path.parent).preprocess(given)


def test_measure_encoder_takes_it_as_it_is(tiny: Recording) -> None:
    encoder = pretrained(NAME, layer="block1", root=tiny.path.parent)
    x, y = images(48), np.arange(48) % 4
    found = measure_encoder(encoder, x, y, which="ncc").set_index("level")["value"]
    features = encoder(normalise(x.float() / 255))
    fit, held = halves(y)
    assert found["labels"] == NearestCentroid().fit(features[fit], y[fit]).score(
        features[held], y[held]
    )
    assert not encoder.training
    large = images(48, 40, 50)
    resized = measure_encoder(encoder, large, y, which="cdnv", preprocess=encoder.preprocess)
    by_hand = measure_encoder(None, encoder(encoder.preprocess(large)), y, which="cdnv")
    assert resized["value"].item() == pytest.approx(by_hand["value"].item(), rel=1e-5)
    layers = measure_encoder(encoder.features, x, y, which="cdnv")
    assert tuple(layers["layer"]) == LAYERS


def _cut(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])


def _bit(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def _other_values(weights: Path) -> None:
    shutil.copy(write(weights.parents[1] / "other", seed=1).path / weights.name, weights)


def _other_shapes(weights: Path) -> None:
    safetensors.torch.save_file(make_backbone("res-2-8", seed=0).state_dict(), weights)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "altered, damaged"),
        (_bit, "damaged or another's: SHA-256"),
        (_other_values, "damaged or another's: SHA-256"),
        (_other_shapes, "altered, damaged"),
        (Path.unlink, "keeps no weights"),
    ],
)
def test_a_damaged_or_wrong_file_is_refused_in_one_line_and_nothing_is_written(
    damage: Callable[[Path], None], said: str, tiny: Recording
) -> None:
    damage(tiny.path / "weights.safetensors")
    before = {f: f.read_bytes() for f in tiny.path.parent.rglob("*") if f.is_file()}
    for ask in (lambda: pretrained(NAME, root=tiny.path.parent), tiny.backbone):
        with pytest.raises(RecordingError, match=said) as error:
            ask()
        assert str(tiny.path) in str(error.value)
        assert "\n" not in str(error.value)
    assert {f: f.read_bytes() for f in tiny.path.parent.rglob("*") if f.is_file()} == before


def _another(tiny: Recording) -> None:
    shutil.rmtree(tiny.path)
    write(tiny.path, seed=1)


def _silent(tiny: Recording) -> None:
    run = tiny.run | {"sha256": None}
    (tiny.path / "run.json").write_text(json.dumps(run))


@pytest.mark.parametrize("change", [_another, _silent])
def test_a_recording_that_is_whole_but_of_another_network_is_refused(
    change: Callable[[Recording], None], tiny: Recording
) -> None:
    change(tiny)
    with pytest.raises(RecordingError, match=f"weights.safetensors: has SHA-256 .*'{NAME}' has"):
        pretrained(NAME, root=tiny.path.parent)
    assert open_recording(tiny.path).backbone().width == 6  # whose own weights they are


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "resnet50"}, f"name: 'resnet50'; expected one of {NAME}"),
        ({"layer": "block9"}, "layer: 'block9'; expected one of stem, block1, block2"),
    ],
)
def test_unknown_names_and_layers_are_refused(
    arguments: dict[str, str], said: str, tiny: Recording
) -> None:
    with pytest.raises(ValueError, match=said):
        pretrained(**({"name": NAME} | arguments), root=tiny.path.parent)  # type: ignore[arg-type]


def test_without_recordings_it_says_where_they_come_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_COMPANION_RECORDINGS", str(tmp_path / "none"))
    with pytest.raises(RecordingError, match="there is no such recording") as error:
        pretrained(NAME)
    for part in (str(tmp_path / "none" / RECORDING), NAME, "clone", "SSL_COMPANION_RECORDINGS"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_the_list_of_recordings_says_which_have_a_network(
    tiny: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tiny.path.parent / "other", seed=1)
    without = write(tiny.path.parent / "without")
    (without.path / "weights.safetensors").unlink()
    assert main(["recordings", "--root", str(tiny.path.parent), "--json"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    said = {name: (row["network"], row["pretrained"]) for name, row in listed.items()}
    assert said == {RECORDING: (True, NAME), "other": (True, "-"), "without": (False, "-")}


def test_the_package_offers_it_and_imports_torch_no_earlier() -> None:
    code = (
        "import sys, ssl_companion\n"
        "assert 'pretrained' in dir(ssl_companion)\n"
        "assert 'torch' not in sys.modules\n"
        "from ssl_companion import pretrained\n"
        "assert pretrained.__module__ == 'ssl_companion.encoders.networks.pretrained'\n"
        "assert not hasattr(ssl_companion, 'pretrain')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    assert ssl_companion.pretrained is pretrained


@pytest.mark.slow
@pytest.mark.skipif("SSL_COMPANION_DATA" not in os.environ, reason="needs CIFAR-100")
def test_its_features_of_real_images_are_those_that_the_recording_keeps() -> None:
    recording, encoder = open_recording(RECORDING), pretrained(NAME)
    images = load("cifar100", "test").images[recording.rows("test")]
    with torch.inference_mode():
        own = encoder(encoder.preprocess(images)).numpy()
    # Recorded on another device, and kept in half precision.
    kept = np.asarray(recording.features(recording.epochs[-1]), np.float32)
    assert np.abs(own - kept).max() < 0.01 * np.abs(kept).max()
