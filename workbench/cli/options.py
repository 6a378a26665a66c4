"""The command line of `ava train` and `ava launch`, as all commands read it."""

from workbench.arguments import LAYER_OPTIONS, TrainOptions, parse, planned, take, take_flag

__all__ = ["LAYER_OPTIONS", "TrainOptions", "parse", "planned", "take", "take_flag"]
