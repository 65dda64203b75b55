"""The loop: interrupted anywhere it ends as if it had not been, and it notices NaN."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssl_companion.data import augmentation, load
from ssl_companion.data.images import ImageSet
from ssl_companion.training.batches import Batches
from ssl_companion.training.checkpoint import (
    CheckpointError,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ssl_companion.training.config import ObjectiveConfig
from ssl_companion.training.model import Learner, batch_loss
from ssl_companion.training.optim import learning_rate
from ssl_companion.training.runtime import generator
from ssl_companion.training.trainer import DivergedError, Trainer, check_terms, check_weights

from .conftest import CPU, STILL, Make, assert_same_bits, outcome


class Interrupted(Exception):
    pass


class Interruptible(Trainer):
    """A trainer whose process dies, as it were, before a step."""

    last: int

    def train_step(self) -> None:
        if self.step == self.last:
            raise Interrupted
        super().train_step()


# --- resuming ----------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "vicreg": {},
    "simclr": {"name": "sgd", "lr": 0.05},
    "barlow_twins": {"name": "adamw", "lr": 1e-3},
    "byol": {},
    "supervised": {"precision": "bf16", "backbone": "vit-1-16", "name": "adamw", "lr": 1e-3},
}
_whole: dict[str, dict[str, Any]] = {}


@pytest.mark.parametrize("objective", VARIANTS)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(deaths=st.lists(st.integers(1, 11), min_size=1, max_size=2), every=st.integers(1, 4))
def test_interrupted_at_any_step_it_ends_as_an_uninterrupted_run(
    tmp_path_factory: pytest.TempPathFactory,
    new_trainer: Make,
    noise_images: Make,
    objective: str,
    deaths: list[int],
    every: int,
) -> None:
    fields = VARIANTS[objective]
    run = {"images": noise_images(side=32 if "backbone" in fields else 16), **fields}
    if objective not in _whole:
        trainer = new_trainer(objective, **run)
        assert trainer.run()
        _whole[objective] = outcome(trainer)
    run["folder"] = tmp_path_factory.mktemp("run")
    for last in sorted(deaths):
        dying = new_trainer(objective, kind=Interruptible, checkpoint_steps=every, **run)
        dying.last = last
        with pytest.raises(Interrupted):
            dying.run()
    torch.manual_seed(last)  # whatever the global state is
    resumed = new_trainer(objective, **run)
    assert resumed.step == last - last % every
    assert resumed.run()
    assert_same_bits(outcome(resumed), _whole[objective])


def test_a_trainer_goes_back_to_a_state(new_trainer: Make) -> None:
    whole = new_trainer()
    whole.run()
    early = new_trainer()
    for _ in range(2):
        early.train_step()
    state = early.state()
    late = new_trainer()
    late.run()
    torch.manual_seed(5)
    late.load(state)  # an epoch's order must not outlive the epoch
    assert_same_bits(late.state()["random"], state["random"])
    assert late.run()
    assert_same_bits(outcome(late), outcome(whole))


def test_seconds_add_up_over_calls(tmp_path: Path, new_trainer: Make) -> None:
    seconds = []
    for _ in range(3):
        trainer = new_trainer(minutes=1e-9, folder=tmp_path)
        trainer.run()
        seconds.append(trainer.seconds)
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_a_checkpoint_of_a_network_of_another_shape(tmp_path: Path, new_trainer: Make) -> None:
    # As it would be with the padding of another kind of device.
    trainer = new_trainer()
    state = trainer.state()
    state["learner"]["backbone.stem.0.weight"] = torch.zeros((8, 3, 2, 2))
    save_checkpoint(tmp_path, 0, state)
    with pytest.raises(CheckpointError, match=r"does not fit this network on cpu; a run is res"):
        new_trainer(folder=tmp_path)


FAILURES = ("OutOfMemoryError", "AcceleratorError")


@pytest.mark.parametrize("name", [name for name in FAILURES if hasattr(torch, name)])
def test_a_device_that_fails_is_no_fault_of_the_checkpoint(
    tmp_path: Path, new_trainer: Make, name: str
) -> None:
    class Full(Trainer):
        def load(self, state: dict[str, Any]) -> None:
            raise getattr(torch, name)("CUDA out of memory")

    new_trainer(minutes=1e-9, folder=tmp_path).run()
    with pytest.raises(getattr(torch, name), match="CUDA out of memory"):
        new_trainer(folder=tmp_path, kind=Full)


def test_a_checkpoint_is_read_to_the_cpu(tmp_path: Path, new_trainer: Make) -> None:
    class Elsewhere(Trainer):
        """Its tensors would go to a device that is not there."""

        def _build(self, *arguments: Any) -> None:
            super()._build(*arguments)
            self.device = torch.device("cuda:99")

        def load(self, state: dict[str, Any]) -> None:
            self.device = CPU
            super().load(state)

    new_trainer(minutes=1e-9, folder=tmp_path).run()
    assert new_trainer(folder=tmp_path, kind=Elsewhere).step == 1


def test_on_epoch_sees_every_epoch_once(tmp_path: Path, new_trainer: Make) -> None:
    seen: list[tuple[int, int]] = []

    def note(trainer: Trainer, epoch: int) -> None:
        seen.append((epoch, trainer.step))

    for _ in range(12):
        new_trainer(minutes=1e-9, folder=tmp_path, on_epoch=note).run()
    assert seen == [(0, 0), (1, 4), (2, 8), (3, 12)]


# --- what a step sees and what is written down -------------------------------------------


def test_an_epoch_is_a_permutation_less_the_remainder(tiny: Make, images: ImageSet) -> None:
    batches = Batches(images, tiny(batch=6), CPU)
    assert batches.per_epoch == 3
    epochs = [torch.cat([batches.rows(3 * e + i) for i in range(3)]).tolist() for e in range(3)]
    for rows in epochs:
        assert len(set(rows)) == 18
        assert set(rows) <= set(range(20))
    assert epochs[0] != epochs[1] != epochs[2]
    # Steps may be asked for in any order.
    anew = Batches(images, tiny(batch=6), CPU)
    for step in (8, 0, 4, 5, 3):
        assert torch.equal(anew.rows(step), batches.rows(step))
    assert not torch.equal(Batches(images, tiny(batch=6, seed=1), CPU).rows(0), anew.rows(0))


def test_both_views_are_of_the_rows_and_differ_by_view_and_by_step(
    tiny: Make, images: ImageSet
) -> None:
    batches = Batches(images, tiny(views=STILL), CPU)
    rows = batches.rows(2)
    expected = augmentation.normalise(torch.from_numpy(images.images.copy())[rows].float() / 255)
    for half in batches.shown(rows, batches.parameters(2)).chunk(2):
        torch.testing.assert_close(half, expected, rtol=0, atol=1e-5)
    batches = Batches(images, tiny(), CPU)
    shown = [batches.shown(rows, batches.parameters(step)).chunk(2) for step in (0, 1, 0)]
    assert not torch.equal(shown[0][0], shown[0][1])
    assert not torch.equal(shown[0][0], shown[1][0])
    assert torch.equal(shown[0][0], shown[2][0])


SWITCHED = ObjectiveConfig(on_from=1)


@pytest.mark.parametrize(
    "objective", ["vicreg", "simclr", "barlow_twins", "supervised", SWITCHED], ids=str
)
def test_history_holds_the_means_of_an_epochs_terms(
    new_trainer: Make, tiny: Make, images: ImageSet, objective: str | ObjectiveConfig
) -> None:
    # Steps too small to change a float32: every step's terms can be computed apart.
    config = tiny(objective, lr=1e-30, epochs=2)
    trainer = new_trainer(config)
    trainer.run()
    learner = Learner(config, classes=100).train()
    pictures, labels = torch.from_numpy(images.images.copy()), torch.from_numpy(images.fine.copy())
    for epoch, row in enumerate(trainer.history.rows):
        order = torch.randperm(20, generator=generator(0, "order", epoch))
        losses = []
        for step in range(4):
            mine = order[5 * step : 5 * step + 5]
            drawn = augmentation.draw_parameters(
                10, config.views, generator(0, "views", 4 * epoch + step), 16, 16
            )
            x = augmentation.normalise(augmentation.apply(pictures[torch.cat([mine, mine])], drawn))
            losses.append(batch_loss(learner(x), config, epoch, labels[mine]))
        total = sum(loss.total.item() for loss in losses) / 4
        assert row["total"] == pytest.approx(total, rel=1e-4)
        for name in losses[0].terms:
            value = sum(loss.terms[name].item() for loss in losses) / 4
            assert row[name] == pytest.approx(value, rel=1e-4, abs=1e-6)
        assert row["epoch"] == epoch + 1
        warmup = math.ceil(0.2 * 4)  # a tenth of a short run
        assert row["lr"] == learning_rate(4 * epoch + 3, 8, warmup, 1e-30)
    assert trainer.history.rows[0]["seconds"] < trainer.history.rows[1]["seconds"]


@pytest.mark.parametrize("objective", ["vicreg", "supervised"])
def test_it_learns_on_glyphs(
    tmp_path: Path, new_trainer: Make, monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    monkeypatch.setenv("SSL_COMPANION_CACHE", str(tmp_path))
    size = {"backbone": "res-1-8", "projector_width": 16, "epochs": 8, "batch": 40}
    images = load("glyphs100", "train", n=400)
    trainer = new_trainer(objective, images, **size, name="adamw", lr=1e-2)
    before = [p.detach().clone() for p in trainer.learner.parameters()]
    trainer.run()
    losses = [row["total"] for row in trainer.history.rows]
    # A guess among the 100 classes costs log 100.
    assert losses[-1] < (0.95 * losses[0] if objective == "vicreg" else math.log(100))
    for old, new in zip(before, trainer.learner.parameters(), strict=True):
        assert not torch.equal(old, new)


def test_nothing_is_printed_but_a_bar_on_standard_error(
    new_trainer: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    new_trainer(epochs=1).run()
    assert capsys.readouterr() == ("", "")
    new_trainer(epochs=1, progress=True).run()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "training" in printed.err
    assert "4/4" in printed.err


def test_more_images_in_a_batch_than_there_are(new_trainer: Make) -> None:
    with pytest.raises(ValueError, match="batch: 21; expected at most the 20 images"):
        new_trainer(batch=21)


# --- numbers that are not finite ---------------------------------------------------------


def test_a_nan_in_the_weights_is_found_with_its_step_and_term(
    tmp_path: Path, new_trainer: Make
) -> None:
    class Poisoned(Trainer):
        def train_step(self) -> None:
            if self.step == 5:
                with torch.no_grad():
                    self.learner.head[-1].weight[0, 0] = math.nan
            super().train_step()

    trainer = new_trainer(folder=tmp_path, kind=Poisoned, checkpoint_steps=1, check_every=100)
    with pytest.raises(DivergedError, match=r"step 5 \(epoch 1\): the term '\w+' is nan; try a"):
        trainer.run()
    # Nothing after the last good step was kept.
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000000005.ckpt"
    resumed = new_trainer(folder=tmp_path)
    assert resumed.run()
    whole = new_trainer()
    whole.run()
    assert_same_bits(outcome(resumed), outcome(whole))


def test_a_gradient_that_overflows_is_found_before_it_is_saved(
    tmp_path: Path, new_trainer: Make, tiny: Make
) -> None:
    # The step's own loss is finite; only the weights that it leaves are not.
    trainer = new_trainer(checkpoint_steps=1, folder=tmp_path)
    weight = trainer.learner.backbone.get_parameter("stem.0.weight")
    weight.register_hook(lambda g: g * math.inf if trainer.step == 6 else g)
    with pytest.raises(DivergedError, match=r"step 6: the weights 'backbone\.stem\.0\.weight'"):
        trainer.run()
    path = latest_checkpoint(tmp_path)
    assert path == tmp_path / "step-000000006.ckpt"
    state = load_checkpoint(path, tiny().digest(), CPU)
    assert all(v.isfinite().all() for v in state["learner"].values())


@pytest.mark.parametrize("weight", [0.0, 1e-12])
def test_a_term_of_weight_0_may_overflow(
    tmp_path: Path, new_trainer: Make, tiny: Make, weight: float
) -> None:
    config = tiny(ObjectiveConfig(covariance=weight), name="sgd", lr=1e-30)
    trainer = new_trainer(config, check_every=1, checkpoint_steps=1, folder=tmp_path)
    with torch.no_grad():
        trainer.learner.head[-1].weight.mul_(1e12)  # covariances of 1e24, whose squares overflow
    if weight:
        with pytest.raises(DivergedError, match=r"step 0 .*'covariance' is inf"):
            trainer.run()
        return
    assert trainer.run()
    assert [row["covariance"] for row in trainer.history.rows] == [math.inf] * 3
    assert all(math.isfinite(row["total"]) for row in trainer.history.rows)


@pytest.mark.parametrize(
    ("rows", "unweighted", "message"),
    [
        ([[1, 1, 0], [math.nan, 1, math.nan]], (), r"step 8 \(epoch 2\): .*'variance' is nan"),
        ([[math.inf, math.inf, 0], [math.nan, math.nan, 1]], (), "step 7 .*'invariance' is inf"),
        ([[math.inf, 3e38, 3e38]], (), r"step 7 \(epoch 1\): the term 'total' is inf"),
        (
            [[1, 1, math.inf], [1, math.nan, math.nan]],
            ("variance",),
            "step 8 .*'invariance' is nan",
        ),
        ([[1, 1, math.inf]], ("variance",), None),
        ([[1e38, -3.0, 0]], (), None),
    ],
)
def test_the_first_bad_step_and_a_term_that_counts_are_named(
    rows: list[list[float]], unweighted: tuple[str, ...], message: str | None
) -> None:
    names = ("total", "invariance", "variance")
    with pytest.raises(DivergedError, match=message) if message else nullcontext():
        check_terms(torch.tensor(rows), names, 7, 4, 0.3, unweighted)


def test_weights_that_are_not_finite_are_named(tiny: Make) -> None:
    learner = Learner(tiny())
    with torch.no_grad():
        learner.head[0].weight.fill_(3e38)  # their sum is infinite, they are not
    check_weights(learner, 3, 0.3)
    with torch.no_grad():
        learner.head[0].weight[0, 0] = -math.inf
    with pytest.raises(DivergedError, match=r"step 3: the weights 'head\.0\.weight' are not fin"):
        check_weights(learner, 3, 0.3)
