"""The trainer: ``python -m workbench.training RUN_DIR --attempt N``."""

from __future__ import annotations
