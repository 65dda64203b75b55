"""A module while it encodes: in evaluation mode, and its named parts listened to."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeGuard

import torch
from torch import nn

from ssl_companion.encoders.running.outputs import OUTPUT

NO_PARTS = (
    "expected parts that are called in the encoder's forward pass, which those of TorchScript and "
    "`torch.export` never are; give the module that was scripted or exported"
)


def unwrapped(encoder: nn.Module) -> nn.Module:
    """The module that `torch.compile` or a data-parallel wrapper was put around.

    Its parts have the names that its author gave them.

    Example:
        >>> net = nn.Linear(3, 2)
        >>> unwrapped(nn.DataParallel(torch.compile(net))) is net
        True
    """
    parallel = nn.DataParallel | nn.parallel.DistributedDataParallel
    while True:
        inner = encoder.module if isinstance(encoder, parallel) else None
        inner = getattr(encoder, "_orig_mod", inner)
        if not isinstance(inner, nn.Module):
            return encoder
        encoder = inner


def known_layers(encoder: object, layers: Sequence[str] | str | None) -> tuple[str, ...]:
    """The names of parts of a module that were asked for; none without `layers`.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> known_layers(net, ["1", "output"])
        ('1', 'output')

    Args:
        encoder: a module.
        layers: names as in `encoder.named_modules()`, and "output" for what it returns itself.

    Raises:
        ValueError: no module, no name, a name twice, or an unknown one.
    """
    if layers is None:
        return ()
    if not isinstance(layers, str | Iterable):
        raise ValueError(f"layers: {type(layers).__name__}; expected names of submodules, or None")
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not isinstance(encoder, nn.Module):
        raise ValueError(
            f"layers: {', '.join(map(str, names))} of a {type(encoder).__name__}; expected a "
            "module as encoder, whose parts have names; of a function `outputs` picks layers"
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"layers: {list(names)}; expected one name or more, each once")
    parts = {name: part for name, part in unwrapped(encoder).named_modules() if name}
    known = [*parts, OUTPUT]
    for name in names:
        if isinstance(parts.get(name), torch.jit.ScriptModule):
            raise ValueError(f"layers: {name!r} of TorchScript; {NO_PARTS}")
    if unknown := [name for name in names if name not in known]:
        near = difflib.get_close_matches(str(unknown[0]), known, 4, cutoff=0.4) or known[:4]
        raise ValueError(
            f"layers: {unknown[0]!r}; expected names of submodules, such as "
            f"{', '.join(map(repr, near))}; `[name for name, _ in encoder.named_modules()]` lists "
            "them"
        )
    return names


@contextlib.contextmanager
def listening(
    encoder: nn.Module, layers: Sequence[str], take: Callable[[Any, str], Any]
) -> Iterator[dict[str, Any]]:
    """What `take(output, name)` makes of each part's output, by name, as the module runs.

    It is taken as the part returns it, before a later part can write over it. Of a part that runs
    several times the last output stays. Compiled code would not see the hooks, so the module is
    run without being compiled. The hooks are gone afterwards.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        >>> with listening(net, ["0"], lambda output, name: output.shape) as heard:
        ...     _ = net(torch.zeros(5, 3))
        >>> heard
        {'0': torch.Size([5, 2])}

    Args:
        encoder: the module itself, see `unwrapped`.
        layers: names of its parts.
        take: is called in the forward pass.
    """
    heard: dict[str, Any] = {}
    parts = dict(encoder.named_modules())

    def hook(name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
            heard[name] = take(output, name)

        return keep

    with contextlib.ExitStack() as stack:
        if layers:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for name in layers:
            stack.callback(parts[name].register_forward_hook(hook(name)).remove)
        yield heard


@contextlib.contextmanager
def evaluating(encoder: object, device: torch.device | None) -> Iterator[None]:
    """A module in evaluation mode, on `device` if one is given; afterwards it is as it was.

    Example:
        >>> net = nn.Dropout()
        >>> with evaluating(net, None):
        ...     net.training
        False
        >>> net.training
        True
    """
    if not isinstance(encoder, nn.Module):
        yield
        return
    # Frozen TorchScript has no mode any more, and is in evaluation mode.
    modes = {m: m.training for m in encoder.modules() if hasattr(m, "training")}
    tensors = [*encoder.parameters(), *encoder.buffers()]
    before = tensors[0].device if tensors else device
    try:
        _evaluate(encoder)
        if device is not None and before != device:
            encoder.to(device)
        yield
    finally:
        if device is not None and before != device:
            encoder.to(before)
        for module, training in modes.items():
            if type(module).train is not nn.Module.train and not _exported(module):
                module.train(training)  # which may do more than set a flag
        for module, training in modes.items():
            module.training = training


def _exported(module: nn.Module) -> TypeGuard[torch.fx.GraphModule]:
    """Whether it is a program of `torch.export`, whose mode is the one it was exported in."""
    return isinstance(module, torch.fx.GraphModule) and "train" in vars(module)


def _evaluate(encoder: nn.Module) -> None:
    programs = (module for module in encoder.modules() if _exported(module))
    for node in (node for program in programs for node in program.graph.nodes):
        arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
        given = dict(zip((one.name for one in arguments), node.args, strict=False)) | node.kwargs
        if given.get("training") is True or given.get("train") is True:
            raise ValueError(
                f"encoder: exported in training mode ({node.target}); expected evaluation mode; "
                "call `eval()` before `torch.export.export`"
            )
    with contextlib.suppress(NotImplementedError):  # of an exported part
        encoder.eval()
    for module in encoder.modules():
        if hasattr(module, "training"):
            module.training = False
