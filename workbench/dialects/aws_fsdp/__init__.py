"""AWS's FSDP trainer: lists of flags, batch scripts with them, and manifests of Kubernetes.

A config of this system is a row of flags for ``train.py``. It stands alone in a text
(``models/llama2_7b.txt``), in a bash array of a Slurm script, or in the ``command:`` of a manifest
(PyTorchJob, HyperPodPyTorchJob). What stands around the flags is kept and put back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Dialect, Foreign, Guess, Reading, Writing


class _AwsFsdp:
    name = "aws_fsdp"
    title = "AWS FSDP (awsome-distributed-ai)"

    def recognise(self, foreign: Foreign) -> Guess | None:
        """By the trainer's flags in it."""
        from workbench.dialects.aws_fsdp.recognising import recognise

        return recognise(foreign)

    def read(self, foreign: Foreign) -> Reading:
        """Understand flags, wherever they stand."""
        from workbench.dialects.aws_fsdp.reading import read

        return read(foreign)

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """Say a config in flags."""
        from workbench.dialects.aws_fsdp.writing import write

        return write(config, chosen=chosen)


DIALECT: Final[Dialect] = _AwsFsdp()
