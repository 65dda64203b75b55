"""Configurations: refused where they make no sense, named by their digest, back from JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.recordings import MeasureConfig, list_recordings
from ssl_companion.training.config import (
    LoopConfig,
    ObjectiveConfig,
    RunConfig,
    pick_device,
    run_config_from_dict,
)
from ssl_companion.training.optim import OptimConfig

VARIED = RunConfig(
    backbone="vit-2-64",
    objective=ObjectiveConfig("simclr", temperature=0.07, on_from=3, on_until=9),
    views=ViewConfig(scale=(0.5, 0.9), strength=0.5),
    optim=OptimConfig("adamw", lr=1e-3),
    projector_width=17,
    data="glyphs100",
    images_per_class=5,
    epochs=3,
    batch=8,
    seed=11,
    precision="fp32",
    held_out=True,
)


BY_LOT = RunConfig(objective=ObjectiveConfig("supervised", labels="by lot"))
SHUFFLED = RunConfig(objective=ObjectiveConfig("simclr", positives="shuffled"))


@pytest.mark.parametrize("config", [RunConfig(), VARIED, SHUFFLED, BY_LOT])
def test_json_and_back(config: RunConfig) -> None:
    assert run_config_from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_a_later_setting_at_rest_leaves_the_digests_that_are_on_record() -> None:
    assert "held_out" not in RunConfig().as_dict()
    assert not {"positives", "labels"} & RunConfig().as_dict()["objective"].keys()
    digest = "7ce50eb4933dcb383f5721a0edecc901e676df6ac1aebc4e1fad30bfea454e11"
    assert RunConfig().digest() == digest
    for recording in list_recordings():
        run = recording.run
        if "source" in run:
            continue  # trained by other code
        assert run_config_from_dict(run["config"]).digest() == run["digest"], recording.name


def test_every_field_counts_in_the_digest() -> None:
    base, seen = RunConfig(), {RunConfig().digest()}
    for field in dataclasses.fields(RunConfig):
        changed = dataclasses.replace(base, **{field.name: getattr(VARIED, field.name)})
        seen.add(changed.digest())
    seen |= {SHUFFLED.digest(), BY_LOT.digest()}
    assert len(seen) == 3 + len(dataclasses.fields(RunConfig))


def test_numpys_whole_numbers_are_pythons() -> None:
    """JSON holds no others, and what is written comes after hours of training or measuring."""
    given = RunConfig(epochs=np.int64(3), seed=np.uint8(2), batch=np.int16(8))
    assert given.digest() == RunConfig(epochs=3, seed=2, batch=8).digest()
    asked = MeasureConfig(keep_test=np.int64(2), keep_at=tuple(np.arange(2)))
    assert asked.is_that_of(json.loads(json.dumps(dataclasses.asdict(asked))))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"colour": 1}, "RunConfig: field 'colour'; expected one of .*backbone"),
        ({"optim": {"rate": 1}}, "OptimConfig: field 'rate'"),
        ({"objective": {"name": "vicreg", "tau": 1}}, "ObjectiveConfig: field 'tau'"),
        ({"views": {"blur": 1}}, "ViewConfig: field 'blur'"),
    ],
)
def test_fields_of_another_version_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_config_from_dict(values)


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (RunConfig, "epochs", 0),
        (RunConfig, "batch", 1),
        (RunConfig, "projector_width", 0),
        (RunConfig, "images_per_class", -1),
        (RunConfig, "seed", -1),
        (RunConfig, "epochs", 2.5),
        (RunConfig, "epochs", "2"),
        (RunConfig, "batch", True),
        (MeasureConfig, "keep_test", 2.5),
        (RunConfig, "precision", "fp16"),
        (ObjectiveConfig, "name", "moco"),
        (ObjectiveConfig, "invariance", -1.0),
        (ObjectiveConfig, "regularizer", math.nan),
        (ObjectiveConfig, "variance", math.inf),
        (ObjectiveConfig, "covariance", -0.1),
        (ObjectiveConfig, "temperature", 0.0),
        (ObjectiveConfig, "momentum", 1.1),
        (ObjectiveConfig, "positives", "others"),
        (ObjectiveConfig, "labels", "others"),
        (LoopConfig, "minutes", -1.0),
        (LoopConfig, "minutes", math.nan),
        (LoopConfig, "checkpoint_minutes", -1.0),
        (LoopConfig, "checkpoint_steps", -1),
        (LoopConfig, "check_every", 0),
        (LoopConfig, "compile", "maybe"),
    ],
)
def test_values_that_make_no_sense(make: Callable[..., object], field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field}: {value!r}; expected"):
        make(**{field: value})
    with pytest.raises(ValueError, match=r"^positives: 'shuffled'; expected 'own' with labels"):
        ObjectiveConfig("supervised", positives="shuffled")
    with pytest.raises(ValueError, match=r"^labels: 'by lot'; expected 'own' with 'vicreg', which"):
        ObjectiveConfig(labels="by lot")


@pytest.mark.parametrize(
    ("on_from", "on_until", "expected"),
    [(0, -1, "11111"), (2, -1, "00111"), (0, 3, "11100"), (1, 3, "01100"), (3, 3, "00000")],
)
def test_when_the_regularizer_is_on(on_from: int, on_until: int, expected: str) -> None:
    config = ObjectiveConfig(regularizer=5.0, on_from=on_from, on_until=on_until)
    assert [config.regularizer_at(epoch) for epoch in range(5)] == [5.0 * int(c) for c in expected]


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(ValueError, match="device: 'cuda:1'; expected 'cpu' or 'auto'"):
        pick_device("cuda:1")
    with pytest.raises(ValueError, match="device: 'gpu'; expected 'auto', 'cpu', 'cuda'"):
        pick_device("gpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert pick_device("auto").type == "cuda"
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device("cuda").index is None
    with pytest.raises(ValueError, match="device: 'cuda:2'; expected at most 'cuda:1'"):
        pick_device("cuda:2")
