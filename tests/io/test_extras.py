"""What an installation lacks is said with what brings it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ssl_companion.errors import CompanionError
from ssl_companion.io import extras


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as a wheel leaves it: with no book beside it."""
    package = tmp_path / "site-packages/ssl_companion/__init__.py"
    monkeypatch.setattr(extras.ssl_companion, "__file__", str(package))
    return package.parents[1]


def test_a_checkout_has_the_recordings_beside_the_package(installed: Path) -> None:
    assert extras.checkout() is None
    (installed / "book/recordings").mkdir(parents=True)
    assert extras.checkout() is None, "a folder of that name is somebody's own"
    (installed / "_toc.yml").touch()
    assert extras.checkout() == installed


@pytest.mark.usefixtures("installed")
def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(
        extras.MissingExtraError, match=r"no_such_module is not installed; `pip install 'ssl-comp"
        r"anion\[plots\]'` brings it"
    ) as caught, extras.needs("train"), extras.needs("plots"):  # fmt: skip
        importlib.import_module("no_such_module.part")
    assert isinstance(caught.value, CompanionError | ModuleNotFoundError)
    assert caught.value.name == "no_such_module"


@pytest.mark.parametrize(("extra", "brings"), [("train", "-r requirements"), ("cluster", "submit")])
def test_in_a_checkout_nothing_replaces_the_faiss_of_the_book(extra: str, brings: str) -> None:
    with (
        pytest.raises(extras.MissingExtraError, match=f"pip install {brings}"),
        extras.needs(extra),
    ):
        importlib.import_module("no_such_module")


def test_a_package_that_is_there_and_fails_is_not_called_absent() -> None:
    with pytest.raises(ImportError, match="broken") as caught, extras.needs("train"):
        raise ImportError("broken")
    assert not isinstance(caught.value, extras.MissingExtraError)
