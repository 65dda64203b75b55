"""Backbones with a tap at every block: `features(x)` gives one vector a layer.

A tap is the spatial (or token) mean of a block's output, so that every layer is measured by
the same ruler: a vector for each image.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_companion.io.extras import needs


class Backbone(nn.Module):
    """What the training loop and the measures ask of an encoder.

    Attributes:
        layers: names of the tapped layers, first to last.
        width: dimension D of the last one, which `forward` returns.
    """

    layers: tuple[str, ...]
    width: int

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Vectors of every tapped layer: name -> [N, D_layer], for images [N, 3, H, W]."""
        raise NotImplementedError(f"{type(self).__name__} has to define features(x)")

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """What `features` takes the means of, place by place: name -> [N, D_layer, h, w]."""
        raise NotImplementedError(f"{type(self).__name__} has no maps(x)")

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's vectors, [N, D]."""
        return self.features(x)[self.layers[-1]]

    def exported_state(self) -> dict[str, Tensor]:
        """The weights as a user would load them (without any padding)."""
        return dict(self.state_dict())

    def load_exported(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `exported_state`, whatever padding there was or is."""
        self.load_state_dict(dict(state))


class ResidualBlock(nn.Module):
    """relu(x + BN(conv3x3(relu(BN(conv3x3(x)))))): the width and the resolution stay."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.b1 = nn.BatchNorm2d(width)
        self.c2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.b2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.b2(self.c2(F.relu(self.b1(self.c1(x))))))


class ResLH(Backbone):
    """RES-L-H: a stem of two 2x2 stride-2 convolutions, then L residual blocks of H channels.

    With `pad_to`, channels are added up to a multiple of it, all weights of which are 0. They
    carry 0 forward (their batch normalisation has scale 0 and shift 0) and, as relu passes no
    gradient at 0, get 0 back: with any optimizer here they stay 0, and the network computes
    what the unpadded one does, on shapes that tensor cores like (250 -> 256).

    Args:
        depth: number L of residual blocks, at least 1.
        width: number H of channels, at least 1.
        pad_to: round the computed width up to a multiple of this.
    """

    def __init__(self, depth: int, width: int, pad_to: int = 1) -> None:
        super().__init__()
        for name, value in (("depth", depth), ("width", width), ("pad_to", pad_to)):
            if value < 1:
                raise ValueError(f"{name}: {value}; expected 1 or more")
        self.width = width
        self.layers = ("stem", *(f"block{i + 1}" for i in range(depth)))
        state = _reslh_modules(depth, width).state_dict()
        self._narrow = {name: tensor.shape for name, tensor in state.items()}
        padded = -(-width // pad_to) * pad_to
        modules = _reslh_modules(depth, padded)
        if padded != width:
            _embed(modules, state)
        else:
            modules.load_state_dict(state)
        blocks = modules["blocks"]
        assert isinstance(blocks, nn.ModuleList)
        self.stem, self.blocks = modules["stem"], blocks

    def features(self, x: Tensor) -> dict[str, Tensor]:
        return {name: self._tap(x) for name, x in self._outputs(x)}

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        return {name: x[:, : self.width] for name, x in self._outputs(x)}

    def _outputs(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        x = self.stem(x)
        yield "stem", x
        for name, block in zip(self.layers[1:], self.blocks, strict=True):
            x = block(x)
            yield name, x

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self._tap(x)

    def _tap(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))[:, : self.width]

    def exported_state(self) -> dict[str, Tensor]:
        return {
            name: tensor[tuple(slice(0, n) for n in self._narrow[name])].clone()
            for name, tensor in self.state_dict().items()
        }

    def load_exported(self, state: Mapping[str, Tensor]) -> None:
        _embed(self, state)


def _reslh_modules(depth: int, width: int) -> nn.ModuleDict:
    stem = nn.Sequential(
        nn.Conv2d(3, width, 2, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 2, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
    )  # fmt: skip
    return nn.ModuleDict(
        {"stem": stem, "blocks": nn.ModuleList(ResidualBlock(width) for _ in range(depth))}
    )


@torch.no_grad()
def _embed(modules: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put the weights of a narrow network in the corner of a wide one, zeros elsewhere."""
    for name, tensor in modules.state_dict().items():
        narrow = state[name]
        if narrow.shape != tensor.shape:
            tensor.fill_(1.0 if name.endswith("running_var") else 0.0)
            tensor[tuple(slice(0, n) for n in narrow.shape)] = narrow
        else:
            tensor.copy_(narrow)


class ResNet18(Backbone):
    """ResNet-18 of torchvision's blocks with the CIFAR stem (3x3 stride 1, no pooling).

    He et al. 2016 (arXiv:1512.03385). Of the usual 64 channels at width 64, where it is
    torchvision's network; others have every layer narrower or wider in proportion.

    Args:
        width: channels of the stem and the first stage; the last stage has eight times as many.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        widths = [width, *(width * 2 ** (i // 2) for i in range(8))]
        self.blocks = nn.ModuleList(
            _basic_block(before, after) for before, after in itertools.pairwise(widths)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.width = widths[-1]
        self.layers = ("stem", *(f"block{i + 1}" for i in range(len(self.blocks))))

    def features(self, x: Tensor) -> dict[str, Tensor]:
        return {name: x.mean(dim=(2, 3)) for name, x in self.maps(x).items()}

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        taps = {"stem": x}
        for name, block in zip(self.layers[1:], self.blocks, strict=True):
            x = block(x)
            taps[name] = x
        return taps


def _basic_block(before: int, after: int) -> nn.Module:
    """torchvision's block; one that widens halves the resolution too."""
    with needs("train"):
        from torchvision.models.resnet import BasicBlock  # here: it takes longer than all the rest

    if before == after:
        return BasicBlock(before, after)
    shortcut = nn.Sequential(nn.Conv2d(before, after, 1, 2, bias=False), nn.BatchNorm2d(after))
    return BasicBlock(before, after, stride=2, downsample=shortcut)


class ViT(Backbone):
    """A small vision transformer for 32x32 images (torchvision's; arXiv:2010.11929).

    Taps are means over all tokens; the last one stands behind the final layer norm. Maps are the
    tokens in the place of their patches, without the class token, which has none.
    """

    def __init__(self, depth: int = 6, width: int = 192, patch: int = 4) -> None:
        super().__init__()
        with needs("train"):
            import torchvision  # here: as in _basic_block

        self.net = torchvision.models.VisionTransformer(
            image_size=32, patch_size=patch, num_layers=depth, num_heads=max(1, width // 64),
            hidden_dim=width, mlp_dim=2 * width, num_classes=1,
        )  # fmt: skip
        self.net.heads = nn.Identity()
        self.width = width
        self.layers = ("stem", *(f"block{i + 1}" for i in range(depth)))

    def features(self, x: Tensor) -> dict[str, Tensor]:
        return {name: tokens.mean(dim=1) for name, tokens in self._tokens(x)}

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        side = self.net.image_size // self.net.patch_size
        return {
            name: tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))
            for name, tokens in self._tokens(x)
        }

    def _tokens(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        tokens = self.net._process_input(x)
        token = self.net.class_token.expand(len(x), -1, -1)
        encoder = self.net.encoder
        tokens = torch.cat([token, tokens], dim=1) + encoder.pos_embedding
        yield "stem", tokens
        blocks = list(encoder.layers)
        for name, block in zip(self.layers[1:], blocks, strict=True):
            tokens = block(tokens)
            yield name, encoder.ln(tokens) if block is blocks[-1] else tokens


def padding(device: torch.device) -> int:
    """The `pad_to` of `ResLH` on a device: tensor cores like multiples of 64 channels."""
    return 64 if device.type == "cuda" else 1


def make_backbone(name: str, *, seed: int, pad_to: int = 1) -> Backbone:
    """Build "res-L-H" (any L and H), "resnet18[-W]" or "vit-L-H" with weights drawn from `seed`.

    Args:
        name: for example "res-5-250", "resnet18", "resnet18-16" (of 16 channels), "vit-6-192".
        seed: of the initial weights; the global random state is left as it was.
        pad_to: see `ResLH`; other backbones ignore it.

    Raises:
        ValueError: an unknown name.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if match := re.fullmatch(r"res-(\d+)-(\d+)", name):
            return ResLH(int(match[1]), int(match[2]), pad_to)
        if match := re.fullmatch(r"resnet18(?:-([1-9]\d*))?", name):
            return ResNet18(int(match[1] or 64))
        if match := re.fullmatch(r"vit-(\d+)-(\d+)", name):
            depth, width = int(match[1]), int(match[2])
            if width % max(1, width // 64):
                raise ValueError(
                    f"backbone: {name!r}; expected a width that divides into {width // 64} heads"
                )
            return ViT(depth, width)
    raise ValueError(
        f"backbone: {name!r}; expected 'res-L-H' (say res-5-250), 'resnet18', 'resnet18-W' or "
        "'vit-L-H'"
    )
