"""The networks of the book's recordings that have a name; `pretrained`, which needs torch, gives
them."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_companion.recordings import Recording


@dataclass(frozen=True)
class Weights:
    """Where the weights of a network are, and which they are.

    Example:
        >>> NETWORKS["vicreg-res5-250"].recording
        'reference-vicreg-s0'
    """

    recording: str  #: its name
    sha256: str  #: of its weights.safetensors
    backbone: str = "res-5-250"  #: its architecture, of `training.backbones.make_backbone`


#: The names that `pretrained` knows.
NETWORKS = {
    "vicreg-res5-250": Weights(
        "reference-vicreg-s0",
        "000b382db2bb8a6200d81b3559b16defadc409488a627b2ab65d42f02dc6b7df",
    ),
}


def pretrained_name(recording: Recording) -> str | None:
    """The name by which `pretrained` gives a recording's network, if it is one of those.

    Example:
        >>> from ssl_companion.recordings import open_recording
        >>> reference = open_recording("reference-vicreg-s0")  # may be absent # doctest: +SKIP
        >>> pretrained_name(reference)  # doctest: +SKIP
        'vicreg-res5-250'
    """
    if recording.weights_path is None:
        return None
    own = recording.name, recording.weights_digest
    found = (name for name, there in NETWORKS.items() if (there.recording, there.sha256) == own)
    return next(found, None)
