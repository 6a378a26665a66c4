"""A plan as something that a cluster starts: the shared trainer on several machines.

Each export is a file that starts the training, with the resolved config beside it. Started, it
makes the run's directory (under ``run.runs_dir``, which every machine has to see) and runs
``workbench.training`` there on each machine. There is no supervisor: the cluster's own scheduler
stops and restarts.

What was tried: the files are read by the tools that take them (bash, PyYAML, torchrun's parser,
DeepSpeed's hostfile parser), and the torchrun script trains with two processes on one machine. No
export has been run on several machines yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workbench.config.schema import Config
    from workbench.dialects.base import Writing


@dataclass(frozen=True, slots=True)
class Exporter:
    """A way of starting a plan on several machines.

    Attributes:
        name: What ``ava export`` calls it.
        title: What it is.
        module: The module below this package that writes it.
    """

    name: str
    title: str
    module: str

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """The files that start a plan.

        Args:
            config: The plan's config.
            chosen: The keys that a layer set.

        Raises:
            ConfigError: The plan cannot be started that way.
        """
        made: Callable[..., Writing] = import_module(f"{__name__}.{self.module}").WRITERS[self.name]
        return made(config, chosen=chosen)


_ALL: Final = (
    Exporter("torchrun", "a script to run on each machine", "torchrun"),
    Exporter("hostfile", "DeepSpeed's launcher with a hostfile", "hostfile"),
    Exporter("slurm", "a Slurm batch script", "slurm"),
    Exporter("kubernetes", "an indexed Job of Kubernetes", "kubernetes"),
    Exporter("pytorchjob", "a PyTorchJob of Kubeflow", "kubernetes"),
    Exporter("hyperpod", "a HyperPodPyTorchJob of SageMaker", "kubernetes"),
)

EXPORTERS: Final[Mapping[str, Exporter]] = {each.name: each for each in _ALL}
"""The ways of starting a plan on a cluster, by name."""
