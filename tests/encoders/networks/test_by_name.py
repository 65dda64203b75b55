"""Encoders by name: baselines, recordings, libraries, files; nothing is downloaded here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torchvision.transforms import v2

from ssl_companion.data.augmentation import normalise
from ssl_companion.encoders.evaluate import measure_encoder
from ssl_companion.encoders.networks.by_name import load_encoder
from ssl_companion.encoders.networks.known import NETWORKS
from ssl_companion.encoders.networks.named import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ImageInput,
    NamedEncoder,
)
from ssl_companion.encoders.networks.pretrained import pretrained
from ssl_companion.encoders.running.runner import EncoderError, Runner
from ssl_companion.io.extras import MissingExtraError
from ssl_companion.recordings import RecordingError, open_recording
from ssl_companion.training.backbones import make_backbone

N = 40
IMAGES = torch.randint(
    0, 256, (N, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
FLAT = normalise(IMAGES.float() / 255).flatten(1)
NAME = next(iter(NETWORKS))


def run(one: NamedEncoder, images: Any = IMAGES, **how: Any) -> Tensor:
    return Runner(one.encoder, preprocess=one.preprocess, **how)(images, "images")["output"]


def in_batches(x: Tensor) -> Iterator[Tensor]:
    yield from x.split(7)


# --- how images come in


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(32, 32), (97, 64), (20, 30)])
def test_images_are_resized_scaled_and_normalised_as_torchvision_does(
    mode: str, shape: tuple[int, int]
) -> None:
    prepare = ImageInput((24, 32), IMAGENET_MEAN, IMAGENET_STD, mode)
    how = v2.InterpolationMode(mode)
    scale, resize = v2.ToDtype(torch.float32, scale=True), v2.Resize((24, 32), how, antialias=True)
    chain = v2.Compose([scale, resize, lambda x: x.clamp(0, 1),
                        v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])  # fmt: skip
    x = torch.randint(0, 256, (3, 3, *shape), dtype=torch.uint8)
    torch.testing.assert_close(prepare(x), chain(x), rtol=1e-5, atol=1e-5)
    grey = x[:, :1]
    for one in (grey, grey[:, 0]):
        assert torch.equal(prepare(one), prepare(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize(
    "images", [torch.rand(2, 3, 8, 8), torch.zeros(8, 8, dtype=torch.uint8), torch.zeros(2, 5)]
)
def test_what_are_no_bytes_of_images_is_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^images: .*; expected uint8 .* `preprocess`$"):
        ImageInput((8, 8))(images)


# --- baselines


def test_pixels_are_the_normalised_pixels_whatever_the_size_and_type() -> None:
    pixels = load_encoder("pixels")
    assert (pixels.name, pixels.size) == ("pixels", (32, 32))
    torch.testing.assert_close(run(pixels), FLAT, rtol=1e-5, atol=1e-5)
    floats = torch.randn(N, 3, 32, 32)
    assert torch.equal(run(pixels, floats), floats.flatten(1))
    large = torch.nn.functional.interpolate(IMAGES.float(), scale_factor=2).to(torch.uint8)
    assert run(pixels, large).shape == (N, 3 * 32 * 32)


@pytest.mark.parametrize("spec", ["whitened-pixels", "whitened-pixels:12"])
@pytest.mark.parametrize("stream", [False, True])
def test_whitened_pixels_are_scikit_learns_components(spec: str, stream: bool) -> None:
    images = in_batches(IMAGES) if stream else IMAGES.numpy()
    whitened = load_encoder(spec, images=images)
    k = 12 if ":" in spec else N // 2  # more would put all images equally far from one another
    expected = PCA(k, whiten=True, svd_solver="full").fit(FLAT.double().numpy()).transform(FLAT)
    found = run(whitened)
    assert whitened.about["components"] == str(k)
    signs = np.sign((found.numpy() * expected).sum(axis=0))  # a component has none of its own
    np.testing.assert_allclose(found, expected * signs, rtol=1e-3, atol=1e-3)


def test_what_is_the_same_in_all_images_is_no_component() -> None:
    images = torch.zeros(50, 3, 32, 32, dtype=torch.uint8)
    images[:, :, 10, 10:14] = IMAGES[:1, 0, 0, :1] + torch.arange(50)[:, None, None].byte()
    images[:, 0, 20, 20] = IMAGES[:, 0, 0, 0].repeat(2)[:50]
    whitened = load_encoder("whitened-pixels", images=images)
    assert whitened.about["components"] == "2"
    assert torch.allclose(run(whitened, images).var(dim=0), torch.ones(2), atol=1e-3)


@pytest.mark.parametrize("stream", [False, True])
def test_an_untrained_network_has_the_statistics_of_the_images(stream: bool) -> None:
    images = in_batches(IMAGES) if stream else IMAGES
    untrained = load_encoder("random:res-2-8", images=images, seed=3)
    expected = make_backbone("res-2-8", seed=3)
    update_bn([FLAT.unflatten(1, (3, 32, 32))], expected)
    with torch.no_grad():
        by_hand = expected.eval()(FLAT.unflatten(1, (3, 32, 32)))
    torch.testing.assert_close(run(untrained), by_hand, rtol=1e-4, atol=1e-5)
    assert untrained.name == "untrained res-2-8"
    assert not any(part.training for part in untrained.encoder.modules())  # type: ignore[union-attr]


def test_random_is_the_architecture_of_the_pretrained_network() -> None:
    untrained, trained = load_encoder("random", images=IMAGES[:8]), pretrained(NAME)
    shapes = [{k: v.shape for k, v in one.state_dict().items()}
              for one in (untrained.encoder, trained.network)]  # type: ignore[union-attr]  # fmt: skip
    assert shapes[0] == shapes[1]


def test_many_images_are_sampled_at_random_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_companion.encoders.networks.baselines._FOR_COMPONENTS", 10)
    looks = [
        load_encoder("whitened-pixels:3", images=images, seed=seed)
        for images, seed in ((IMAGES, 0), (IMAGES, 0), (IMAGES, 1), (in_batches(IMAGES), 0))
    ]
    assert [one.about["fitted_on"] for one in looks] == ["10 training images"] * 4
    same, again, other, _ = map(run, looks)
    assert torch.equal(same, again)
    assert not torch.allclose(same.abs(), other.abs(), atol=0.1)


# --- the book's networks


def test_a_network_of_the_book_by_name_and_by_its_recording() -> None:
    expected = pretrained(NAME)
    weights = NETWORKS[NAME]
    large = torch.randint(0, 256, (5, 3, 40, 50), dtype=torch.uint8)
    for spec in (NAME, weights.recording, str(open_recording(weights.recording).path)):
        found = load_encoder(spec)
        assert found.about["weights_sha256"] == weights.sha256
        torch.testing.assert_close(
            run(found, large), expected(expected.preprocess(large)), rtol=1e-4, atol=1e-5
        )


def test_a_recording_without_weights_says_so(write_synthetic: Any) -> None:
    with pytest.raises(RecordingError, match="keeps no weights"):
        load_encoder(str(write_synthetic("by-name").path))


# --- libraries


class Patches(nn.Module):
    """Tokens [n, 1 + 4, 6] of images of 16 x 16."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, 6, 8, stride=8)
        self.drop = nn.Dropout()
        self.config = SimpleNamespace(_commit_hash="abc123")
        self.pooler: nn.Module | None = nn.Linear(6, 6)

    def forward(self, pixel_values: Tensor) -> Any:
        tokens = self.drop(self.patches(pixel_values).flatten(2).transpose(1, 2))
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        pooled = self.pooler(tokens[:, 0]) if self.pooler else None
        return Output(last_hidden_state=tokens, pooler_output=pooled)


class Output(dict[str, Any]):
    def __init__(self, **entries: Any) -> None:
        super().__init__({name: value for name, value in entries.items() if value is not None})
        vars(self).update(entries)


def fake(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    module = ModuleType(name)
    vars(module).update(__version__="9.9", **contents)
    monkeypatch.setitem(sys.modules, name, module)


def test_a_network_of_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def create_model(name: str, pretrained: bool, num_classes: int) -> nn.Module:
        asked.append((name, pretrained, num_classes))
        if name != "tiny.a1":
            raise RuntimeError(f"Unknown model ({name})\nand more")
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(), nn.Flatten())
        model.pretrained_cfg = {"hf_hub_id": "timm/tiny.a1", "tag": "a1"}  # type: ignore[assignment]
        return model

    config = {"input_size": (3, 16, 24), "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3),
              "interpolation": "bicubic"}  # fmt: skip
    data = SimpleNamespace(resolve_model_data_config=lambda model: config)
    fake(monkeypatch, "timm", create_model=create_model, data=data,
         list_models=lambda pretrained: ["tiny.a1", "large"])  # fmt: skip
    one = load_encoder("timm:tiny.a1")
    assert asked == [("tiny.a1", True, 0)]
    assert one.size == (16, 24)
    assert one.preprocess == ImageInput((16, 24), (0.4, 0.5, 0.6), (0.1, 0.2, 0.3), "bicubic")
    assert one.about == {"kind": "timm", "timm": "9.9", "weights": "timm/tiny.a1", "tag": "a1"}
    assert not one.encoder.training  # type: ignore[union-attr]
    assert run(one).shape == (N, 4 * 14 * 22)
    with pytest.raises(EncoderError, match=r"^timm:tiny: cannot be .*Unknown.* such as tiny.a1$"):
        load_encoder("timm:tiny")


def transformers(
    monkeypatch: pytest.MonkeyPatch, model: nn.Module, missing: set[str], **processor: Any
) -> None:
    def load(name: str, output_loading_info: bool) -> Any:
        if name == "absent":
            raise OSError("absent is no model\nlog in")
        return model, {"missing_keys": missing}

    has = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 3,
           "size": {"height": 16, "width": 16}} | processor  # fmt: skip
    images = SimpleNamespace(from_pretrained=lambda name: SimpleNamespace(**has))
    auto = SimpleNamespace(from_pretrained=load)
    fake(monkeypatch, "transformers", AutoModel=auto, AutoImageProcessor=images)


def test_a_model_of_hugging_face(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Patches()
    transformers(monkeypatch, model, set())
    one = load_encoder("hf:own/model")
    assert one.preprocess == ImageInput((16, 16), (0.5,) * 3, (0.25,) * 3, "bicubic")
    assert one.about["commit"] == "abc123"
    assert isinstance(one.preprocess, ImageInput)
    with torch.no_grad():
        out = model.eval()(one.preprocess(IMAGES))
    torch.testing.assert_close(run(one), out.pooler_output, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(run(one, pool="cls"), out.last_hidden_state[:, 0])
    with pytest.raises(EncoderError, match=r"^hf:absent: cannot be loaded .*no model.*expected a"):
        load_encoder("hf:absent")


def test_weights_that_a_checkpoint_lacks_are_not_drawn_at_random(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transformers(monkeypatch, Patches(), {"pooler.weight", "pooler.bias"})
    one = load_encoder("hf:own/model")
    with pytest.raises(ValueError, match=r"returned tokens .*'cls'"):
        run(one)
    assert run(one, pool="mean").shape == (N, 6)
    transformers(monkeypatch, Patches(), {"patches.weight"})
    with pytest.raises(EncoderError, match=r"no weights for patches.weight \(1 absent\)"):
        load_encoder("hf:own/model")


def test_of_a_model_of_images_and_texts_the_image_tower_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Clip(Patches):
        def get_image_features(self, pixel_values: Tensor) -> Tensor:
            return self.patches(pixel_values).flatten(1)

        def forward(self, input_ids: Tensor) -> Any:
            raise ValueError("You have to specify input_ids")

    transformers(monkeypatch, Clip(), set())
    assert run(load_encoder("hf:own/clip")).shape == (N, 6 * 4)


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"size": {"shortest_edge": 20}}, ImageInput((20, 20), (0.5,) * 3, (0.25,) * 3, "bicubic")),
        (
            {"size": {"shortest_edge": 20}, "do_center_crop": True, "resample": 2,
             "crop_size": SimpleNamespace(height=16, width=18, shortest_edge=None)},
            ImageInput((16, 18), (0.5,) * 3, (0.25,) * 3, "bilinear"),
        ),
        ({"do_normalize": False, "resample": None},
         ImageInput((16, 16), (0.0,) * 3, (1.0,) * 3, "bilinear")),
        ({"image_mean": None, "image_std": None},
         ImageInput((16, 16), IMAGENET_MEAN, IMAGENET_STD, "bicubic")),
    ],
)  # fmt: skip
def test_an_image_processors_settings_are_followed(
    processor: dict[str, Any], expected: ImageInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers(monkeypatch, Patches(), set(), **processor)
    assert load_encoder("hf:own/model").preprocess == expected


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "squeezenet1_1"])
def test_a_classifier_of_torchvision_loses_its_last_linear_layer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, whole = torchvision.models.get_model, []

    def get_model(name: str, weights: Any) -> nn.Module:
        assert weights is torchvision.models.get_model_weights(name).DEFAULT
        whole.append(build(name, weights=None))
        return whole[0]

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    if name.startswith("squeezenet"):
        with pytest.raises(EncoderError, match="has no linear layer"):
            load_encoder(f"torchvision:{name}")
        return
    one = load_encoder(f"torchvision:{name}")
    assert one.preprocess == ImageInput((224, 224), IMAGENET_MEAN, IMAGENET_STD)
    assert one.about["weights"].startswith("https://download.pytorch.org/models/")
    net, seen = build(name, weights=None).eval(), []
    last = next(part for part in reversed(list(net.modules())) if isinstance(part, nn.Linear))
    last.register_forward_hook(lambda _part, given, _out: seen.append(given[0]))
    own = {k: v for k, v in whole[0].state_dict().items() if k in net.state_dict()}
    net.load_state_dict(own, strict=False)
    with torch.no_grad():
        net(one.preprocess(IMAGES[:2]))
    torch.testing.assert_close(run(one, IMAGES[:2]), seen[0], rtol=1e-4, atol=1e-4)


def test_an_unknown_name_of_torchvision_has_near_ones() -> None:
    with pytest.raises(EncoderError, match=r"^torchvision:resnet19: .* such as .*resnet18"):
        load_encoder("torchvision:resnet19")


@pytest.mark.parametrize(("spec", "package"), [("timm:a", "timm"), ("hf:a", "transformers")])
def test_a_library_that_is_absent_is_named_with_the_way_to_it(
    spec: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtraError, match=rf"^{spec}: .*`pip install {package}`") as error:
        load_encoder(spec)
    assert "\n" not in str(error.value)


# --- files

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
import torch
from beside import CHANNEL

@dataclass
class Colour:
    channel: int
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, self.channel].flatten(1)

def encoder():
    return Colour(CHANNEL)

def pair():
    return torch.nn.Flatten(), lambda x: x.float()[:, :1]

def fails():
    raise KeyError("no\\nsuch")

def nothing():
    return 5
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = set(sys.modules)
    (tmp_path / "beside.py").write_text("CHANNEL = 1\n")
    (tmp_path / "my_encoders.py").write_text(SOURCE)
    yield tmp_path / "my_encoders.py"
    for name in set(sys.modules) - before:
        if name in ("beside", "own_broken") or name.startswith(("my_encoders", "numpy_")):
            del sys.modules[name]


def test_a_function_of_a_file_gives_an_encoder(source: Path) -> None:
    paths = list(sys.path)
    one = load_encoder(f"{source}:encoder")
    assert (one.name, one.preprocess) == ("my_encoders:encoder", None)
    assert one.encoder.__class__.__module__ == "my_encoders"
    expected = normalise(IMAGES.float() / 255)[:, 1].flatten(1)
    torch.testing.assert_close(run(one), expected)
    other = load_encoder(f"{source}:pair")
    torch.testing.assert_close(run(other), IMAGES[:, 0].flatten(1).float())
    assert sys.path == paths
    assert one.about["sha256"] == other.about["sha256"]


def test_a_file_called_as_a_module_that_is_there_leaves_that_alone(source: Path) -> None:
    own = source.rename(source.with_name("numpy.py"))
    assert run(load_encoder(f"{own}:encoder")).shape == (N, 32 * 32)
    assert sys.modules["numpy"] is np


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("encode", r"expected a function of .*, which has encoder"),
        ("fails", r"fails\(\): failed \(KeyError: .*; expected it to return an encoder"),
        ("nothing", r"nothing\(\) returned int; expected a module or a function"),
    ],
)
def test_functions_that_give_none_are_said_in_a_line(
    function: str, said: str, source: Path
) -> None:
    with pytest.raises((ValueError, EncoderError), match=said) as error:
        load_encoder(f"{source}:{function}")
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_imported_leaves_nothing(source: Path) -> None:
    broken = source.with_name("own_broken.py")
    broken.write_text("import absent_module\n")
    with pytest.raises(EncoderError, match=r"own_broken.py:f: failed \(ModuleNotFoundError"):
        load_encoder(f"{broken}:f")
    assert "own_broken" not in sys.modules


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_programs_in_files_say_what_the_network_says(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).eval()
    path = tmp_path / f"mine{suffix}"
    if suffix == ".pt":
        torch.jit.script(net).save(str(path))
    else:
        some, any_number = IMAGES[:2].float(), ({0: torch.export.Dim("n")},)
        torch.export.save(torch.export.export(net, (some,), dynamic_shapes=any_number), path)
    one = load_encoder(str(path))
    expected = Runner(net)(IMAGES, "images")["output"]
    torch.testing.assert_close(run(one), expected, rtol=1e-5, atol=1e-5)
    assert (one.name, len(one.about["sha256"])) == ("mine", 64)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        EncoderError, match=r"mine.* cannot be loaded .*; expected .*[tT]orch"
    ) as error:
        load_encoder(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_weights_alone_are_no_encoder(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(EncoderError, match=r"weights alone have no network: `module.py:function`"):
        load_encoder(str(tmp_path / "weights.pt"))


# --- what is no name


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("vicreg-res5", f"'vicreg-res5'; expected .*near it: {NAME}"),
        ("pixel", "'pixel'; expected .*near it: .*pixels"),
        ("reference-vicreg", "near it: reference-vicreg-s0"),
        ("tim:resnet50", r"'tim:resnet50'; expected a network \(.*timm:NAME, hf:NAME"),
        ("absent.py:f", "there is no file absent.py"),
        ("absent.pt2", "'absent.pt2'; there is no such file"),
        (__file__, r"a file without a function; `.*test_by_name.py:function` names one"),
        ("whitened-pixels:many", "expected a number of components"),
        ("whitened-pixels:0", "components: 0; expected an integer of 1 or more"),
        ("random:resnet", "backbone: 'resnet'; expected 'res-L-H'"),
        ("random", "images: None; expected the training images, which 'random' looks at"),
        ("whitened-pixels", "images: None; expected the training images"),
        ("", "encoder: ''; expected a network"),
        (5, "encoder: 5; expected a network"),
    ],
)
def test_what_is_no_name_is_said_in_a_line(spec: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        load_encoder(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("images", [np.zeros((0, 3, 8, 8), np.uint8), iter([]), IMAGES[:1]])
def test_too_few_images_for_components_are_refused(images: Any) -> None:
    with pytest.raises(ValueError, match=r"images: (none at all|a single one); expected"):
        load_encoder("whitened-pixels", images=images)


def test_measures_take_them_as_they_are() -> None:
    y = np.arange(N) % 4
    pixels = load_encoder("pixels")
    found = measure_encoder(pixels.encoder, IMAGES, y, which="ncc", preprocess=pixels.preprocess)
    by_hand = measure_encoder(None, FLAT, y, which="ncc")
    assert found["value"].tolist() == pytest.approx(by_hand["value"].tolist(), abs=1e-6)
