"""VICReg with lightly, recorded while it trains: `python tests/encoders/lightly_example.py FOLDER`.

`ssl-companion explore FOLDER` shows what there is at any time. Called again, it begins anew.
"""

import sys

import torch
from lightly.loss import VICRegLoss
from lightly.models.modules.heads import VICRegProjectionHead
from lightly.transforms.vicreg_transform import VICRegViewTransform
from torch import nn
from torch.utils.data import DataLoader
from torchvision.models import resnet18
from torchvision.transforms.functional import to_pil_image

from ssl_companion.data import load
from ssl_companion.encoders.recorder import EncoderRecorder


def main(destination: str, epochs: int = 3, per_class: int = 3) -> None:
    """Train on a few images of each of the 100 classes, and record every epoch."""
    torch.manual_seed(0)
    train, test = load("glyphs100", "train").subset(per_class), load("glyphs100", "test").subset(2)
    views = VICRegViewTransform(input_size=32, gaussian_blur=0, normalize=None)
    pictures = [to_pil_image(image.transpose(1, 2, 0)) for image in train.images]

    def two_views(batch: list) -> list[torch.Tensor]:
        return [torch.stack([views(picture) for picture in batch]) for _ in range(2)]

    loader = DataLoader(pictures, 100, shuffle=True, drop_last=True, collate_fn=two_views)
    backbone = resnet18()
    backbone.fc = nn.Identity()
    model = nn.Sequential(backbone, VICRegProjectionHead(512, 512, 512, num_layers=2))
    criterion, optimizer = VICRegLoss(), torch.optim.AdamW(model.parameters(), lr=1e-3)
    with EncoderRecorder(
        train,
        test_images=test,
        destination=destination,
        title="VICReg of lightly",
        preprocess=lambda x: x / 255,
        overwrite=True,
    ) as recorder:
        recorder(0, backbone)
        for epoch in range(1, epochs + 1):
            total = 0.0
            for first, second in loader:
                loss = criterion(model(first), model(second))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() / len(loader)
            recorder(epoch, backbone, {"total": total})


if __name__ == "__main__":
    main(sys.argv[1])
