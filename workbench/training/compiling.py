"""torch.compile, block by block: every block is the same code, so one compilation serves all."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from workbench.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.config.schema.training.compile import CompileConfig
    from workbench.models.base import LanguageModel

_COMPILERS = ("g++", "clang++", "c++")


def compile_blocks(model: LanguageModel, config: CompileConfig, device: torch.device) -> None:
    """Have each block compiled when it is first called.

    Raises:
        ConfigError: There is no such backend, or the machine lacks the compiler that it needs.
    """
    if not config.enabled:
        return
    torch.use_deterministic_algorithms(mode=True)  # says it to the compiler, too
    known = torch.compiler.list_backends(exclude_tags=())
    if config.backend not in known:
        raise ConfigError(
            f"training.compile.backend: there is no {config.backend}",
            where="training.compile.backend",
            fix="one of: " + ", ".join(sorted(known)),
        )
    if (
        config.backend == "inductor"
        and device.type == "cpu"
        and not any(map(shutil.which, _COMPILERS))
    ):
        raise ConfigError(
            "training.compile needs a C++ compiler, and this machine has none",
            where="training.compile.enabled",
            why=f"looked for {', '.join(_COMPILERS)} on PATH",
            fix="install one (apt install g++), or use --training.compile.enabled false",
        )
    if config.backend != "inductor" and config.mode != "default":
        raise ConfigError(
            f"training.compile.mode {config.mode} is one of inductor",
            where="training.compile.mode",
            why=f"the backend is {config.backend}",
            fix="use --training.compile.mode default",
        )
    mode = {} if config.mode == "default" else {"mode": config.mode}
    for block in model.block_list():
        block.compile(
            backend=config.backend, dynamic=config.dynamic, fullgraph=config.fullgraph, **mode
        )


@contextmanager
def uncompiled() -> Iterator[None]:
    """Blocks run as they are written: a sample has another shape with every token."""
    with torch.compiler.set_stance("force_eager"):
        yield
