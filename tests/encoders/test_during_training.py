"""An encoder recorded while it is trained: training goes on as if nobody had looked."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ssl_companion.__main__ import main as ssl_companion
from ssl_companion.data.augmentation import ViewConfig
from ssl_companion.encoders.during_training import RecordCallback
from ssl_companion.encoders.record import record_encoder
from ssl_companion.encoders.recorder import EncoderRecorder
from ssl_companion.io import atomic
from ssl_companion.recordings import (
    DamagedError,
    MeasureConfig,
    OccupiedError,
    Recording,
    RecordingError,
    list_recordings,
    open_recording,
    opening,
)

K, D, N = 3, 8, 60
Y = np.repeat(np.arange(K), N // K)
X = (np.random.default_rng(0).normal(size=(N, D)) + Y[:, None]).astype(np.float32)
CHEAP = MeasureConfig(keep="last", probes=False)


@pytest.fixture(autouse=True)
def _no_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes longer than what is recorded here."""
    known = {"commit": None, "clean": False}
    monkeypatch.setattr("ssl_companion.io.provenance.git_commit", lambda: known)


def recorder(folder: Path, **kwargs: Any) -> EncoderRecorder:
    given = {"images": X, "labels": Y, "destination": folder / "mine", "config": CHEAP} | kwargs
    return EncoderRecorder(**given)


def network(seed: int = 0) -> nn.Module:
    """With a state of its own that a forward pass in training mode changes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(D, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 4)
    )


class Draws(nn.Module):
    """Draws random numbers in evaluation mode, too, as masked autoencoders do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + 0.1 * torch.randn_like(x))


def test_training_is_the_same_to_the_last_bit(tmp_path: Path) -> None:
    def trained(recorder: EncoderRecorder | None) -> tuple[list[float], dict[str, Tensor]]:
        torch.manual_seed(0)
        net, losses = Draws(), []
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
        for epoch in range(3):
            for x in torch.from_numpy(X).split(20):
                optimizer.zero_grad()
                loss = net(x + torch.rand_like(x)).var(dim=0).sub(1).square().sum()
                loss.backward()
                if recorder and epoch == 1:  # between the gradients and the step
                    grads = [p.grad.clone() for p in net.parameters()]
                    recorder(epoch, net)
                    assert all(map(torch.equal, grads, (p.grad for p in net.parameters())))
                optimizer.step()
                losses.append(loss.item())
            if recorder:
                recorder(epoch, net, {"total": loss})
                assert all(module.training for module in net.modules())
        return losses, net.state_dict()

    state = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    watched = trained(recorder(tmp_path, config=None))
    assert state == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    alone = trained(None)
    assert watched[0] == alone[0]
    for name, value in alone[1].items():
        assert torch.equal(watched[1][name], value), name


def test_it_grows_and_is_open_to_readers_all_the_while(tmp_path: Path) -> None:
    with recorder(tmp_path) as grows:
        for epoch in (0, 1, 5):
            losses = {"total": torch.tensor(1 / (epoch + 1)), "variance": 0.25} if epoch else None
            grows(epoch, network(epoch), losses)
            mine = open_recording(tmp_path / "mine")
            assert mine.epochs == grows.epochs == (0, 1, 5)[: len(mine.epochs)]
            assert not mine.complete
            assert mine.kept_epochs() == mine.epochs
    mine = open_recording(tmp_path / "mine")
    assert mine.complete
    assert mine.losses.to_dict("list") == {
        "epoch": [1, 5], "total": [0.5, pytest.approx(1 / 6)], "variance": [0.25, 0.25],
    }  # fmt: skip
    assert mine.title == "Sequential of own images"
    whole = record_encoder(
        {epoch: network(epoch) for epoch in (0, 1, 5)}, X, Y,
        destination=tmp_path / "whole", config=CHEAP, progress=False,
    )  # fmt: skip
    same_but_for_times(mine, whole)


def same_but_for_times(one: Recording, other: Recording, losses: bool = False) -> None:
    """Rows, images and features are the same to the last byte."""
    for file in ("measures.csv.gz", "subset.csv.gz", *(("losses.csv",) if losses else ())):
        assert (one.path / file).read_bytes() == (other.path / file).read_bytes(), file
    first, second = (
        safetensors.torch.load_file(r.path / "features.safetensors") for r in (one, other)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    times = {"start", "end", "wall_seconds", "sha256", "name"}
    runs = [{k: v for k, v in r.run.items() if k not in times} for r in (one, other)]
    assert runs[0] == runs[1]


def test_resumed_it_is_what_it_would_have_been(tmp_path: Path) -> None:
    glyphs = np.random.default_rng(1).integers(0, 256, (N, 3, 8, 8), dtype=np.uint8)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))
    measure = MeasureConfig(
        keep="last", probes=False, sample_images=6, sample_views=4, sample_fresh=2, map_images=2,
        map_views=3,
    )  # fmt: skip

    def begin(name: str) -> EncoderRecorder:
        return recorder(
            tmp_path, images=glyphs, destination=tmp_path / name, config=measure,
            sample_views=ViewConfig(),
        )  # fmt: skip

    def epochs(which: tuple[int, ...], *recorders: EncoderRecorder) -> None:
        for epoch in which:
            nn.init.constant_(net[0].bias, epoch)
            for one in recorders:
                one(epoch, net, {"total": epoch / 3, f"at {epoch}": 2.0})

    whole, first = begin("whole"), begin("pieces")
    epochs((0, 1), whole, first)
    interrupted = begin("pieces")
    assert interrupted.epochs == (0, 1)
    epochs((2, 10), whole, interrupted)
    whole.finish()
    begin("pieces").finish()  # nothing is measured, and the rest is as it was
    same_but_for_times(*(open_recording(tmp_path / n) for n in ("pieces", "whole")), losses=True)


def test_an_epoch_that_comes_again_replaces_those_from_there_on(tmp_path: Path) -> None:
    first = recorder(tmp_path)
    for epoch in (0, 2, 4, 6):
        first(epoch, network(epoch), {"total": float(epoch)})
    before = open_recording(tmp_path / "mine")
    again = recorder(tmp_path)
    again(4, network(40), {"total": 0.5})
    after = open_recording(tmp_path / "mine")
    assert after.epochs == again.epochs == (0, 2, 4)
    assert after.losses["total"].tolist() == [0.0, 2.0, 0.5]
    for epoch in (0, 2):
        np.testing.assert_array_equal(after.features(epoch), before.features(epoch))
    assert not np.array_equal(after.features(4), before.features(4))
    assert np.array_equal(before.features(6).shape, after.features(4).shape), "still readable"


def test_what_is_in_the_wrong_order_changes_nothing(tmp_path: Path) -> None:
    one = recorder(tmp_path)
    one(0, lambda x: {"a": x})
    with pytest.raises(ValueError, match="layers b at epoch 1, a before"):
        one(1, lambda x: {"b": x})
    with pytest.raises(ValueError, match=r"epoch 0 after \[0\]; expected whole numbers .*once"):
        one.add(0, lambda x: {"a": x})
    with pytest.raises(ValueError, match=r"epoch 1\.5 after \[0\]; expected whole numbers from 0$"):
        one(1.5, lambda x: {"a": x})  # type: ignore[arg-type]
    assert open_recording(tmp_path / "mine").epochs == one.epochs == (0,)
    one(0, lambda x: {"b": x})  # from the start, it may be another
    assert open_recording(tmp_path / "mine").layers == ("b",)


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"invariance": 1.0}, r"losses: \['invariance'\]; expected a dictionary with 'total'"),
        (1.0, "losses: float; expected a dictionary"),
        ({"total": float("nan")}, "losses: 'total': nan; expected finite numbers"),
        ({"total": 1, "lr": torch.ones(2)}, "losses: 'lr': tensor"),
        ({"total": 1, "lr": "fast"}, "losses: 'lr': 'fast'; expected finite"),
        ({"total": 1, "epoch": 3}, "losses: 'epoch': 3; expected .*another than 'epoch'"),
        ({"total": 1, 5: 3}, "losses: 5: 3; expected finite numbers by name"),
    ],
)
def test_losses_that_no_table_holds_are_refused_before_anything_runs(
    losses: Any, said: str, tmp_path: Path
) -> None:
    def never(x: Tensor) -> Tensor:
        raise AssertionError("the encoder ran")

    with pytest.raises(ValueError, match=said):
        recorder(tmp_path)(0, never, losses)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"images": X + 1}, "data.train_fingerprint is '[0-9a-f]+... there, '[0-9a-f]+... here"),
        ({"labels": np.tile(np.arange(K), N // K)}, "data.train_fingerprint"),
        ({"test_images": X, "test_labels": Y}, "data.train_images is 30 there, 60 here"),
        ({"seed": 1}, "seed is 0 there, 1 here"),
        ({"config": MeasureConfig(keep="all")}, "measured.config.probes is False there, True here"),
        ({"config": None}, "measured.config.probes"),
    ],
)  # fmt: skip
def test_it_does_not_go_on_with_something_else(
    other: dict[str, Any], said: str, tmp_path: Path
) -> None:
    recorder(tmp_path)(0, network())
    before = (tmp_path / "mine" / "run.json").read_bytes()
    way_out = r"\); expected one of the same .*another destination.*overwrite=True"
    with pytest.raises(OccupiedError, match=f"holds another recording .*{said}.*{way_out}"):
        recorder(tmp_path, **other)
    assert (tmp_path / "mine" / "run.json").read_bytes() == before
    anew = recorder(tmp_path, overwrite=True, **other)
    assert anew.epochs == ()
    assert open_recording(tmp_path / "mine").epochs == (0,), "as long as there is nothing new"
    anew(3, network(3))
    assert open_recording(tmp_path / "mine").epochs == (3,)


def test_a_run_of_the_package_and_a_damaged_recording_are_no_beginning(tmp_path: Path) -> None:
    recorder(tmp_path)(0, network())
    file = tmp_path / "mine" / "run.json"
    about = json.loads(file.read_text())
    book = next(path for path in list_recordings())
    file.write_text(json.dumps(about | {"config": book.run["config"]}))
    with pytest.raises(OccupiedError, match="it is of a run that `ssl-companion` trained"):
        recorder(tmp_path)
    file.write_text(json.dumps(about))
    (tmp_path / "mine" / "measures.csv.gz").write_bytes(b"")
    with pytest.raises(DamagedError, match="measures"):
        recorder(tmp_path)


def test_of_two_recorders_in_one_place_the_second_is_told(tmp_path: Path) -> None:
    first, second = recorder(tmp_path), recorder(tmp_path)
    first(0, network())
    with pytest.raises(OccupiedError, match="holds a recording already"):
        second(0, network(1))
    third = recorder(tmp_path)
    first(1, network(1))
    with pytest.raises(OccupiedError, match=r"written by another process meanwhile.*rank 0"):
        third(1, network(2))
    assert open_recording(tmp_path / "mine").epochs == (0, 1)
    shutil.rmtree(tmp_path / "mine")
    first(2, network(2))  # what it has it can write again
    assert open_recording(tmp_path / "mine").epochs == (0, 1, 2)


def test_training_that_fails_leaves_the_recording_incomplete(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), recorder(tmp_path) as one:  # noqa: PT012
        one(0, network())
        raise KeyboardInterrupt
    assert not open_recording(tmp_path / "mine").complete
    with (
        pytest.raises(ValueError, match="no checkpoint at all"),
        recorder(tmp_path, overwrite=True),
    ):
        pass


def test_by_default_a_balanced_part_is_kept_however_many_classes(tmp_path: Path) -> None:
    y = np.tile(np.arange(600), 4)
    x = np.random.default_rng(0).normal(size=(len(y), 2))
    one = recorder(tmp_path, images=x, labels=y, config=None)
    one(0, lambda x: {"low": x, "high": x + 1})
    mine = open_recording(tmp_path / "mine")
    assert (mine.kept_epochs("low"), mine.kept_epochs("high")) == ((), (0,))
    assert np.bincount(mine.fine("test")).tolist() == [1] * 600
    few = recorder(tmp_path, config=None, destination=tmp_path / "few")
    few(0, network())
    assert np.bincount(open_recording(tmp_path / "few").fine("test")).tolist() == [10] * K


# --- readers and writers at once


def test_what_is_open_stays_what_it_was(tmp_path: Path) -> None:
    one = recorder(tmp_path)
    one(0, network())
    mine, late = open_recording(tmp_path / "mine"), Recording(tmp_path / "mine")
    one(1, network(1))
    one.finish()
    assert set(mine.measures["epoch"]) == {0}
    assert len(mine.features(0)) == len(mine.fine("test")) == N // 2
    assert len(mine.losses) == 0
    with pytest.raises(DamagedError, match="altered"):  # opened by hand, it is read when asked
        late.measures  # noqa: B018


def test_a_reader_amid_writes_sees_one_state_or_the_other(tmp_path: Path) -> None:
    one, done, seen = recorder(tmp_path), threading.Event(), list[int]()
    one(0, lambda x: x)

    def write() -> None:
        try:
            for epoch in range(1, 12):
                one(epoch, lambda x: x, {"total": float(epoch)})
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        mine = open_recording(tmp_path / "mine")
        assert set(mine.measures["epoch"]) == set(mine.epochs) == set(mine.kept_epochs())
        assert mine.losses["epoch"].tolist() == list(mine.epochs[1:])
        seen.append(len(mine.epochs))
    writer.join()
    assert seen == sorted(seen)
    assert open_recording(tmp_path / "mine").epochs == tuple(range(12))


def test_a_recording_that_never_rests_is_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, opened = recorder(tmp_path), Recording.open_files
    one(0, network())

    def replaced(self: Recording) -> None:
        opened(self)
        one(one.epochs[-1] + 1, network())

    monkeypatch.setattr(opening, "_TRIES", 3)
    monkeypatch.setattr(Recording, "open_files", replaced)
    with pytest.raises(
        RecordingError, match=r"replaced 3 times while it was opened.*copy the folder"
    ):
        open_recording(tmp_path / "mine")


@pytest.fixture(scope="module")
def killable() -> Iterator[subprocess.Popen[str]]:
    script = Path(__file__).parent / "killable_recorder.py"
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("how", ["swaps", "renames"])
def test_killed_at_any_step_it_is_the_recording_before_or_after(
    how: str, killable: subprocess.Popen[str], tmp_path: Path
) -> None:
    from .killable_recorder import network as at
    from .killable_recorder import recorder as killed

    assert killable.stdin is not None
    assert killable.stdout is not None
    start, whole = tmp_path / "start", tmp_path / "whole"
    killed(start)(0, at(0), {"total": 1.0})
    shutil.copytree(start, whole)
    killed(whole)(1, at(1), {"total": 0.5})
    found = []
    for step in range(100):
        folder = tmp_path / str(step)
        shutil.copytree(start, folder)
        killable.stdin.write(f"{folder} {step} {how}\n")
        killable.stdin.flush()
        status = int(killable.stdout.readline())
        if status == 0:
            break
        assert status == -signal.SIGKILL
        # Without a swap there is a moment in which the recording is aside; a recorder puts it back.
        lost = not (folder / "mine").exists()
        assert not (lost and how == "swaps")
        resumed = killed(folder)
        found.append((resumed.epochs, lost))
        assert open_recording(folder / "mine").epochs == resumed.epochs
        resumed(1, at(1), {"total": 0.5})
        same_but_for_times(*(open_recording(f / "mine") for f in (folder, whole)), losses=True)
        assert not atomic.leftovers(folder / "mine")
    before, after = [epochs for epochs, _ in found].count((0,)), [e for e, _ in found].count((0, 1))
    assert before >= 8
    assert after > 0
    assert before + after == len(found)
    assert any(lost for _, lost in found) == (how == "renames")


# --- Lightning


@pytest.fixture
def lightning() -> Any:
    return pytest.importorskip("pytorch_lightning")


def module(lightning: Any) -> Any:
    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = network(), nn.Linear(4, 2)
            self.totals: list[float] = []

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            spread = self.head(self.backbone(batch[0])).var(dim=0)
            loss = (spread - 1).square().sum()
            self.log_dict({"variance": spread.mean(), "loss": loss}, on_epoch=True, on_step=False)
            self.totals.append(loss.item())
            return loss

        def validation_step(self, batch: list[Tensor], index: int) -> None:
            self.backbone(batch[0])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Module()


def fit(
    lightning: Any, epochs: int, callbacks: list[Any], checkpoint: Path | None = None
) -> tuple[Any, Any]:
    lightning.seed_everything(0, verbose=False)
    trainer = lightning.Trainer(
        max_epochs=epochs, callbacks=callbacks, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    net, loader = (
        module(lightning),
        DataLoader(TensorDataset(torch.from_numpy(X)), 20, shuffle=True),
    )
    trainer.fit(net, loader, loader, ckpt_path=checkpoint, weights_only=False)
    return trainer, net


pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning:pytorch_lightning", "ignore:.*LeafSpec"
)


def test_lightning_records_before_training_and_after_its_epochs(
    lightning: Any, tmp_path: Path
) -> None:
    callback = RecordCallback(recorder(tmp_path), every=2, losses=["loss", "variance", "absent"])
    assert isinstance(callback, lightning.Callback)
    assert isinstance(callback, RecordCallback)
    trainer, net = fit(lightning, 5, [callback])
    _, alone = fit(lightning, 5, [])
    assert net.totals == alone.totals
    mine = open_recording(tmp_path / "mine")
    assert mine.complete
    assert mine.epochs == (0, 2, 4, 5), "the last in any case, and no sanity check"
    assert mine.losses.columns.tolist() == ["epoch", "total", "variance"]
    means = np.mean(np.reshape(net.totals, (5, 3)), axis=1)[[1, 3, 4]]
    np.testing.assert_allclose(mine.losses["total"], means, rtol=1e-5)
    torch.manual_seed(0)
    start = record_encoder(
        network(), X, Y, destination=tmp_path / "start", config=CHEAP, progress=False
    )
    np.testing.assert_array_equal(mine.features(0), start.features(0))
    end = record_encoder(
        net.backbone, X, Y, destination=tmp_path / "end", config=CHEAP, progress=False
    )
    np.testing.assert_array_equal(mine.features(5), end.features(0))

    trainer.save_checkpoint(tmp_path / "5.ckpt")
    again = RecordCallback(recorder(tmp_path), encoder=lambda module: module.backbone)
    fit(lightning, 7, [again], tmp_path / "5.ckpt")
    after = open_recording(tmp_path / "mine")
    assert after.epochs == (0, 2, 4, 5, 6, 7)
    pd.testing.assert_frame_equal(after.losses, mine.losses)


def test_only_rank_zero_records_and_what_fails_stays_incomplete(
    lightning: Any, tmp_path: Path
) -> None:
    class Fails(lightning.Callback):
        def on_train_epoch_start(self, trainer: Any, module: Any) -> None:
            if trainer.current_epoch == 2:
                raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        fit(lightning, 5, [RecordCallback(recorder(tmp_path)), Fails()])
    mine = open_recording(tmp_path / "mine")
    assert (mine.epochs, mine.complete) == ((0, 1, 2), False)

    class Other:
        current_epoch, is_global_zero = 0, False

    callback = RecordCallback(recorder(tmp_path, destination=tmp_path / "other"))
    for hook in (callback.on_train_start, callback.on_train_epoch_end, callback.on_train_end):
        hook(Other(), network())
    assert not (tmp_path / "other").exists()


def test_a_callback_says_what_it_needs(lightning: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="recorder: PosixPath; expected an EncoderRecorder"):
        RecordCallback(tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every: 0; expected"):
        RecordCallback(recorder(tmp_path), every=0)


def test_lightning_is_asked_for_by_name_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = recorder(tmp_path)
    monkeypatch.setattr("ssl_companion.encoders.during_training.LIGHTNING", ("no_such.lightning",))
    with pytest.raises(
        ModuleNotFoundError, match=r"expected lightning or .*`pip install lightning`"
    ):
        RecordCallback(one)


# --- the example


@pytest.mark.slow
def test_the_example_with_lightly_grows_and_is_explored_midway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .lightly_example import main

    record, grown = EncoderRecorder.__call__, list[Recording]()

    def spied(self: EncoderRecorder, *args: Any) -> None:
        record(self, *args)
        grown.append(open_recording(self.destination))
        if len(grown) == 2:
            page = tmp_path / "page.html"
            arguments = [str(self.destination), "--out", str(page), "--level", "coarse"]
            assert ssl_companion(["explore", *arguments]) == 0
            assert "VICReg of lightly" in page.read_text("utf8")

    monkeypatch.setattr(EncoderRecorder, "__call__", spied)
    main(str(tmp_path / "mine"))
    assert [(one.epochs[-1], one.complete) for one in grown] == [(n, False) for n in range(4)]
    mine = open_recording(tmp_path / "mine")
    assert (mine.complete, mine.layers) == (True, ("output",))
    assert mine.losses["epoch"].tolist() == [1, 2, 3]
    assert mine.losses["total"].is_monotonic_decreasing
    assert mine.features(3).shape == (200, 512)


def test_epochs_that_are_dropped_are_named(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 6)), np.repeat([0, 1], 20)
    recorder = EncoderRecorder(x, y, destination=tmp_path / "mine")
    for epoch in (0, 5, 9):
        recorder(epoch, nn.Linear(6, 3))
    with pytest.warns(
        UserWarning, match="epoch 5 comes again; the epochs after it, 9, are dropped"
    ):
        recorder(5, nn.Linear(6, 3))
    assert recorder.epochs == (0, 5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 6)), np.repeat([0, 1], 20)
    recorder = EncoderRecorder(x, y, destination=tmp_path / "mine")
    recorder(0, nn.Linear(6, 3))
    with pytest.raises(ValueError, match="4 dimensions of 'output', 3 at epochs before"):
        recorder(1, nn.Linear(6, 4))
    assert recorder.epochs == (0,)
