"""Optimizers: one rule per file, made by ``make_optimizer`` from the config."""

from workbench.training.optim.make import make_optimizer

__all__ = ["make_optimizer"]
