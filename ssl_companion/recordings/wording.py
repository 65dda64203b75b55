"""How recordings word things: what older ones have in their files, in the words used now."""

from __future__ import annotations

import re

_NOW = (
    (r"\b(\d[\d,]*) images a class\b", r"\1 images per class"),
    (r"\b1 (epoch|thread)s\b", r"1 \1"),
    (r"\bRESNET18-(\d+)\b", r"ResNet-18 of width \1"),
    (r"\bRESNET18\b", "ResNet-18"),
    (r"\bVIT-(\d)", r"ViT-\1"),
    (r"\blabels by lot\b", "random labels"),
    (r"; not trained$", "; untrained (learning rate 1e-9)"),
)


def current_words(text: str) -> str:
    """A title, or the name of a device, as it would be written now.

    Example:
        >>> current_words("VICReg, RESNET18-16, CIFAR-100, 100 images a class, 1 epochs, seed 0")
        'VICReg, ResNet-18 of width 16, CIFAR-100, 100 images per class, 1 epoch, seed 0'
        >>> current_words("SimCLR, RES-5-32, CIFAR-100, 28 epochs, seed 0; SimCLR")
        'SimCLR, RES-5-32, CIFAR-100, 28 epochs, seed 0'
    """
    for old, new in _NOW:
        text = re.sub(old, new, text)
    return join_title(*title_parts(text))


def title_parts(title: str) -> tuple[str, str]:
    """A title's settings, and what its run is among others: where that is the objective, once.

    Example:
        >>> title_parts("VICReg, RES-5-32, CIFAR-100, 28 epochs, seed 0; 64 channels")
        ('VICReg, RES-5-32, CIFAR-100, 28 epochs, seed 0', '64 channels')
        >>> title_parts("SimCLR, RES-5-32, CIFAR-100, 28 epochs, seed 0")
        ('SimCLR, RES-5-32, CIFAR-100, 28 epochs, seed 0', 'SimCLR')
    """
    settings, mark, variant = title.rpartition("; ")
    return (settings, variant) if mark else (title, title.partition(",")[0])


def join_title(settings: str, variant: str) -> str:
    """A title of its two parts; a variant that is the objective's name stands there already."""
    return settings if variant == settings.partition(",")[0] else f"{settings}; {variant}"
