"""SSL Companion: measure how self-supervised learning clusters its data.

The package behind an executable book about *Reverse Engineering Self-Supervised
Learning* (Ben-Shaul, Shwartz-Ziv, Galanti, Dekel, LeCun; NeurIPS 2023,
arXiv:2305.15614). The way through it:

    data -> measures -> training -> recordings -> claims -> figures -> book
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_companion.encoders.networks.pretrained import pretrained

__all__ = ["pretrained"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`pretrained` when it is first asked for: it needs torch, and this package alone does not."""
    if name == "pretrained":
        from ssl_companion.encoders.networks.pretrained import pretrained

        return pretrained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
