"""The model families, one readable file per idea."""

from __future__ import annotations
