"""How quantities print: one spelling of bytes, counts, durations and rates for every face."""

from __future__ import annotations

import math

_COUNT_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_BYTE_UNITS = (
    (2**60, "EiB"),
    (2**50, "PiB"),
    (2**40, "TiB"),
    (2**30, "GiB"),
    (2**20, "MiB"),
    (2**10, "KiB"),
)


def count(value: float) -> str:
    """A count with a decimal suffix: 1_234_567 is ``1.23 M``."""
    for size, suffix in _COUNT_UNITS:
        if abs(value) >= size * 0.9995:
            short = value / size
            return f"{short:,.0f} {suffix}" if abs(short) >= 1000 else f"{short:.3g} {suffix}"
    return f"{value:.0f}"


def size(value: float) -> str:
    """Bytes with a binary suffix: 1_572_864 is ``1.5 MiB``."""
    for unit, suffix in _BYTE_UNITS:
        if abs(value) >= unit:
            short = value / unit
            if abs(short) >= 10_000:
                return f"{short:,.0f} {suffix}"
            return f"{short:.0f} {suffix}" if abs(short) >= 1000 else f"{short:.3g} {suffix}"
    return f"{value:.0f} B"


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``4 d 06 h``."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def number(value: float | None) -> str:
    """A metric value in few characters, non-finite ones by their name."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 1e5 or magnitude < 1e-2:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if magnitude >= 100:
        return f"{value:.0f}"
    return f"{value:.4f}" if magnitude < 10 else f"{value:.2f}"
