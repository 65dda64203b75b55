"""Every public name of `encoders` comes with an example that says what it does."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

from ssl_companion import encoders

MODULES = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(encoders.__path__, f"{encoders.__name__}.")
    if not module.ispkg
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_public_classes_and_functions_have_examples_that_hold(module: ModuleType) -> None:
    public = [
        thing
        for name, thing in vars(module).items()
        if (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    ]
    assert public
    without = [thing.__name__ for thing in public if "Example:" not in (thing.__doc__ or "")
               or ">>> " not in thing.__doc__]  # fmt: skip
    assert not without, f"no `Example:` with `>>>` in {without}"
    assert doctest.testmod(module).failed == 0
