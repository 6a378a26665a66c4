"""Ava: layered YAML files, and the result of its learning-rate search."""

from __future__ import annotations

from workbench.dialects.package import Package

DIALECT = Package("ava", "Ava")
