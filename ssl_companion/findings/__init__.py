"""Findings: what chapters show and claims decide on, as functions of recordings.

One module a finding. All functions are pure: recordings in, tidy tables or small dataclasses
out. "Live" ones search the kept features now; the others read what was measured of all images.
"""

from __future__ import annotations

from ssl_companion.findings import (
    clustering,
    compression,
    depth_time,
    downstream,
    generality,
    hierarchy,
    regularizer,
    targets,
)
from ssl_companion.findings.live import NotRecorded

__all__ = [
    "NotRecorded",
    "clustering",
    "compression",
    "depth_time",
    "downstream",
    "generality",
    "hierarchy",
    "regularizer",
    "targets",
]
