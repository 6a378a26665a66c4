"""Tiny runs for several processes."""

from tests.training.conftest import in_process, make_run

__all__ = ["in_process", "make_run"]
