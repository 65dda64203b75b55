"""What a page's parameters cell offers can be shown, and what it cannot show is said there."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import pandas as pd
import pytest

from ssl_companion.chapters.analysis import generality
from ssl_companion.chapters.claims import judge, recordings_by_name
from ssl_companion.chapters.pages import NEEDS, UnfitError, levels_for, names_for, open_for
from ssl_companion.recordings import (
    Recording,
    RecordingError,
    RecordingWarning,
    list_recordings,
    open_recording,
)

from .pages import ROOT, parameters_of, quickly, run_page, with_parameters

#: Pages that take longer show one recording of each kind, and of at most so many kinds.
MOST = 2
LONG = {
    "hierarchy", "measuring-a-cluster", "compression", "clusters-to-classifiers", "elsewhere",
    "random-targets", "the-regularizer", "time-and-depth",
}  # fmt: skip


def offered(chapter: str, parameter: str) -> list[str]:
    """What is to be shown: every recording, or one of each kind by what it keeps."""
    names = names_for(chapter, parameter)
    if chapter not in LONG:
        return names
    kinds = {_kind(open_recording(name)): name for name in reversed(names)}
    return list(kinds.values())[-MOST:]


def _kind(run: Recording) -> tuple[object, ...]:
    kept = run.kept_epochs() if run.has_features else ()
    levels = frozenset(run.measures["level"])
    return len(run.epochs), len(kept), len(run.layers), run.has_groupings, levels


def choices(chapter: str) -> Iterator[dict[str, object]]:
    """Values of the parameters, so that each recording and each level comes up."""
    code = parameters_of(chapter)
    first, *others = NEEDS[chapter]
    names = offered(chapter, first)
    levels: list[str] = []
    if re.search("^LEVEL = ", code, re.M):
        levels = list(levels_for(chapter, open_recording(names[0])))
    for i, name in enumerate(islice(cycle(names), max(len(names), len(levels)))):
        chosen: dict[str, object] = {first: name}
        for other in others:
            known = offered(chapter, other)
            chosen[other] = known[i % len(known)]
        if levels:
            chosen["LEVEL"] = levels[i % len(levels)]
        yield chosen


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("chapter", NEEDS)
def test_a_page_shows_what_it_offers(chapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT / "book")
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    quickly(monkeypatch)
    faults = []
    for chosen in choices(chapter):
        try:
            run_page(chapter, **chosen)
        except Exception as error:  # the next choice is tried all the same
            faults.append(f"{chosen}: {type(error).__name__}: {error}")
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_page_and_the_ledger_list_the_same_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of settings with a single run, for which a run's answer is the setting's."""
    monkeypatch.chdir(ROOT / "book")
    monkeypatch.delenv("SSL_COMPANION_DATA", raising=False)
    quickly(monkeypatch)
    reached = run_page("elsewhere")["reached"].set_index("recording")
    note = judge("generality").note
    [listed] = re.findall(r"every setting but: (.*?)\. ", note + " ")
    [outside] = re.findall(r"in brackets\): (.*?)\. ", note + " ")
    missed_words = listed.split("; ")
    missed_words += [words.removesuffix(" (no)") for words in outside.split("; ")]
    counts = {of: n for n, of in re.findall(r"(\d+) for the (?:order in )?(\w+)\b", note)}
    runs = recordings_by_name()
    settings = generality.settings(runs)
    missed = {
        name for name, own in settings.items() if generality.setting_of(own[0]) in missed_words
    }  # fmt: skip
    alone = {own[0].name: name for name, own in settings.items() if len(own) == 1}
    assert len(alone) > 15
    assert {alone[run] for run in reached.index[~reached["holds"]] if run in alone} == {
        name for name in missed if name in alone.values()
    }
    inside = [run for run, name in alone.items() if name not in generality.BOUNDARIES]
    for name in ("ratio", "advantage", "time", "depth"):
        own = int(reached.loc[inside, name].sum())
        assert own <= int(counts[name]) <= own + len(settings) - len(alone)


def said_by(chapter: str, **values: object) -> str:
    """What the parameters cell prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(with_parameters(parameters_of(chapter), **values), {})
    return out.getvalue()


def in_first_cell(chapter: str) -> list[str]:
    """The parameters whose recordings are opened in the parameters cell."""
    return re.findall(r"open_for\([^)]*?, (\w+)[,)]", parameters_of(chapter))


@pytest.mark.parametrize("chapter", NEEDS)
def test_an_unfit_choice_is_said_in_the_first_cell_with_those_that_work(chapter: str) -> None:
    everything = [run.name for run in list_recordings()]
    for parameter in in_first_cell(chapter):
        fit = names_for(chapter, parameter)
        assert fit
        for name in sorted(set(everything) - set(fit))[:6]:
            with pytest.raises(UnfitError) as caught:
                said_by(chapter, **{parameter: name})
            said = str(caught.value)
            assert said.startswith(f"{parameter}: {name!r}; expected one with ")
            assert said.endswith(": " + ", ".join(fit))
            assert "\n" not in said


@pytest.mark.parametrize("chapter", [p for p in NEEDS if "RECORDING" in NEEDS[p]])
def test_the_first_cell_names_what_the_page_can_show(chapter: str) -> None:
    assert said_by(chapter).rstrip().endswith("may be: " + ", ".join(names_for(chapter)))
    with pytest.raises(RecordingError, match="no recording 'nothing'"):
        said_by(chapter, RECORDING="nothing")


@pytest.mark.parametrize("chapter", NEEDS)
def test_a_level_that_is_none_is_said_there_too(chapter: str) -> None:
    for parameter, value in (("LEVEL", "kingdom"), ("LEVELS", ("fine", "kingdom"))):
        if re.search(f"^{parameter} = ", parameters_of(chapter), re.M):
            with pytest.raises(
                UnfitError, match=f"^{parameter}: 'kingdom'; expected one that .* has"
            ):
                said_by(chapter, **{parameter: value})


def test_every_page_that_opens_a_recording_by_a_parameter_asks_what_it_needs() -> None:
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        with contextlib.suppress(StopIteration):
            tree = ast.parse(parameters_of(path.stem))
            names = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets
                     if isinstance(t, ast.Name) and isinstance(n.value, ast.Constant)
                     and n.value.value in {run.name for run in list_recordings()}}  # fmt: skip
            assert names == set(NEEDS.get(path.stem, {})), path.stem


@pytest.mark.parametrize(
    ("chapter", "story", "fits"),
    [
        ("explorer", {}, True),
        ("explorer", {"features": False}, False),
        ("time-and-depth", {}, True),
        ("compression", {}, True),
        ("compression", {"features": False}, False),
        ("the-regularizer", {}, True),
    ],
)
def test_what_fits_follows_from_what_is_kept(
    chapter: str, story: dict[str, object], fits: bool, write_synthetic
) -> None:
    made = write_synthetic(f"fits-{chapter}-{len(story)}-{fits}-s0", **story)
    assert (made.name in names_for(chapter, root=made.path.parent)) == fits
    if fits:
        assert open_for(chapter, made.path).name == made.name


@pytest.fixture(scope="session")
def made_up(write_synthetic: Callable[..., Recording]) -> Path:
    return write_synthetic("needs-vicreg-s0").path


def _said(**objective: object) -> Callable[[Recording], None]:
    return lambda run: run.run["config"].update(objective=objective)


def _measured(level: str, layer: int = 0) -> Callable[[Recording], None]:
    """With a row of a level more; without the rows of that layer, where one is given."""

    def change(run: Recording) -> None:
        rows = run.measures[run.measures["layer"] != (run.layers[layer] if layer else "")]
        run.measures = pd.concat([rows, rows[:1].assign(level=level)])

    return change


def _kept(epochs: tuple[int, ...], missing: str) -> Callable[[Recording], None]:
    """With features of a layer, or of a kind, at these epochs only."""

    def change(run: Recording) -> None:
        all_of = run.kept_epochs

        def kept(layer: str | None = None, what: str = "test") -> tuple[int, ...]:
            return epochs if missing in (layer, what) else all_of(layer, what)

        run.kept_epochs = kept  # type: ignore[method-assign]

    return change


@pytest.mark.parametrize(
    ("chapter", "parameter", "change", "fits"),
    [
        ("the-regularizer", "RECORDING", _said(name="supervised"), False),
        ("the-regularizer", "RECORDING", _said(), False),
        ("the-regularizer", "RECORDING", _said(name="vicreg", on_from=0, on_until=2), False),
        ("the-regularizer", "RECORDING", _said(name="vicreg", on_from=0, on_until=-1), True),
        ("the-regularizer", "RECORDING", _kept((2,), "test"), False),
        ("clusters-emerge", "RECORDING", _kept((2,), "test"), False),
        ("clusters-emerge", "RECORDING", _kept((2,), "map_views"), False),
        ("hierarchy", "RECORDING", _kept((2,), "train"), False),
        ("hierarchy", "RECORDING", _kept((), "sample_views"), True),
        ("measuring-a-cluster", "RECORDING", _kept((2,), "train"), False),
        ("clusters-emerge", "AGAIN", _measured("fine"), False),
        ("clusters-emerge", "AGAIN", _measured("sample-all"), True),
        ("random-targets", "AGAIN", _measured("fine"), False),
        ("random-targets", "AGAIN", _measured("teacher-20"), True),
        ("random-targets", "TEACHER", _measured("teacher-20"), False),
        ("compression", "COLLAPSING", _kept((2,), "train"), False),
        ("compression", "COLLAPSING", _kept((2,), "sample_views"), False),
        ("time-and-depth", "RECORDING", _kept((2,), "block1"), False),
        ("time-and-depth", "RECORDING", _kept((1, 2), "test"), False),
        ("time-and-depth", "SUPERVISED", _measured("fine", layer=1), False),
        ("time-and-depth", "SUPERVISED", _measured("fine"), True),
    ],
)
def test_what_a_parameter_needs_is_looked_for(
    chapter: str,
    parameter: str,
    change: Callable[[Recording], None],
    fits: bool,
    made_up: Path,
) -> None:
    run = open_recording(made_up)
    change(run)
    assert NEEDS[chapter][parameter].holds(run) is fits


def test_classifiers_are_compared_at_the_levels_that_were_probed(
    made_up: Path,
) -> None:
    run = open_recording(made_up)
    fine = run.measures[run.measures["level"] == "fine"].assign(measure="linear")
    run.measures = pd.concat([run.measures[run.measures["measure"] != "linear"], fine])
    assert levels_for("clusters-to-classifiers", run) == ("fine",)
    assert levels_for("hierarchy", run) == run.hierarchy.names


def test_a_damaged_recording_is_left_out_of_the_choice_by_name(
    write_synthetic: Callable[..., Recording], tmp_path: Path
) -> None:
    write_synthetic("whole-vicreg-s0", tmp_path)
    torn = write_synthetic("torn-vicreg-s0", tmp_path).path / "features.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.warns(RecordingWarning, match=r"left out: .*torn-vicreg-s0.features"):
        assert names_for("explorer", root=tmp_path) == ["whole-vicreg-s0"]
