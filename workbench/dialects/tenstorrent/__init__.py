"""Tenstorrent: tt-train in both generations of its schema, tt-blacksmith, and the toolkit.

A training of tt-train is a pair of files: one with ``training_config`` and ``device_config``, and
the model's own with ``transformer_config``, which the first one names. Both are read together, and
written together.
"""

from __future__ import annotations

from workbench.dialects.package import Package

DIALECT = Package("tenstorrent", "Tenstorrent (tt-train, tt-blacksmith)")
