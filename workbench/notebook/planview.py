"""A plan as data that a view only has to draw: rows, findings, equation, memory, figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.forms import origin_text, typed_text, unit_text, value_text
from workbench.notebook.session import fix_name
from workbench.outlook import dollars, hours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.config.findings import Finding
    from workbench.config.keys import Key
    from workbench.estimate.estimate import Estimate
    from workbench.estimate.speed import Interval
    from workbench.fitting import Offer
    from workbench.forms import Shown
    from workbench.outlook import Figures, Outlook

_SIGNS = {"error": "✗", "warning": "▲", "hint": "·"}
_GIB = 2**30


def row_view(key: Key) -> dict[str, Any]:
    """What does not change about a key's row."""
    return {
        "path": key.path,
        "name": key.name,
        "type": key.type,
        "kind": key.kind,
        "meaning": key.meaning,
        "choices": list(key.choices),
        "optional": key.optional,
    }


def sections_view(paths: Iterable[str], is_open: Callable[[str], bool]) -> list[dict[str, Any]]:
    """The keys by section; the rows of those that are open."""
    from workbench.config.keys import keys

    sections: dict[str, list[Key]] = {}
    for path in paths:
        sections.setdefault(keys()[path].section, []).append(keys()[path])
    return [
        {
            "path": path,
            "open": is_open(path),
            "count": len(found),
            "rows": [row_view(key) for key in found] if is_open(path) else [],
        }
        for path, found in sections.items()
    ]


def value_view(key: Key, shown: Shown) -> dict[str, Any]:
    """What does change."""
    differs = shown.before is not shown.value and shown.before != shown.value
    return {
        "text": "" if shown.value is None else typed_text(shown.value),
        "on": shown.value is True,
        "none": shown.value is None,
        "unit": unit_text(key.unit, shown.value) if key.unit else "",
        "origin": origin_text(shown),
        "set": shown.origin is not None,
        "edited": shown.edited,
        "was": value_text(shown.before) if differs else "",
        "worst": shown.worst,
    }


def help_view(key: Key, shown: Shown, findings: list[Finding]) -> dict[str, Any]:
    """Everything that is known about a key."""
    facts = (
        ("takes", key.kind + (f", in {key.unit}" if key.unit else "")),
        ("default", value_text(key.default)),
        ("moves", key.changes),
        ("needs", key.needs),
        ("no effect", key.ignored),
        ("trainer", key.why_unhonoured(shown.value) or key.unhonoured),
        ("also", ", ".join(key.aliases)),
    )
    origins = [] if shown.origin is None else [shown.origin, *shown.origin.shadowed]
    return {
        "path": key.path,
        "meaning": key.meaning,
        "facts": [[label, text] for label, text in facts if text],
        "origins": [[value_text(each.value), each.place()] for each in origins],
        "findings": [f"{_SIGNS[each.severity]} {each.message}" for each in findings],
    }


def findings_view(findings: list[Finding]) -> list[dict[str, Any]]:
    """The findings, each with its repairs by name."""
    return [
        {
            "severity": each.severity,
            "sign": _SIGNS[each.severity],
            "path": each.path,
            "message": each.message,
            "where": each.origin.place() if each.origin else "",
            "fixes": [
                {"name": fix_name(each, number), "title": fix.title}
                for number, fix in enumerate(each.fixes)
            ],
        }
        for each in findings
    ]


def equation_view(estimate: Estimate | None, kept: int | None) -> dict[str, Any]:
    """The batch identity, and the sequences of a step that the session began with."""
    if estimate is None:
        return {"words": "", "terms": [], "kept": None}
    batch = estimate.batch
    return {
        "words": batch.equation(),
        "terms": [
            [f"{batch.micro:,}", "sequences"],
            [f"{batch.accumulation:,}", "accumulation"],
            [f"{batch.devices:,}", "device" if batch.devices == 1 else "devices"],
        ],
        "result": [
            [f"{batch.sequences:,}", "sequences a step"],
            [f"{batch.tokens:,}", "tokens a step"],
        ],
        "kept": None if kept is None or kept == batch.sequences else f"{kept:,}",
    }


def meter_view(outlook: Outlook) -> dict[str, Any]:
    """Memory of one device by category, against what there is."""
    estimate, now = outlook.estimate, outlook.now
    if estimate is None or now is None:
        return {"known": False, "words": "A value is none, so nothing can be said yet."}
    card, needed = outlook.card, now.needed
    whole = max(card or 0, needed, 1)
    size = units.size(needed)
    fits = outlook.fits
    verdict = {True: "fits", False: "does not fit", None: "not known whether it fits"}[fits]
    short = needed - (card or 0)
    lacking = f"{units.size(short)} too much" if fits is False and short > 0 else ""
    device = estimate.hardware.title if estimate.hardware else "this machine"
    parts = [
        {"name": name, "size": units.size(part), "share": part / whole, "of": part / needed}
        for name, part in _parts(now).items()
    ]
    spoken = f"{size}{f' of {units.size(card)}' if card else ''} on {device}: {verdict}"
    spoken += f", {lacking}" if lacking else ""
    spoken += "; " + ", ".join(f"{each['name']} {each['size']}" for each in parts)
    was = None if outlook.before is None else outlook.before.needed
    return {
        "known": True,
        "fits": fits,
        "verdict": verdict,
        "needed": size,
        "card": units.size(card) if card else "",
        "lacking": lacking,
        "free": units.size(card - needed) if card and card >= needed else "",
        "device": device,
        "value": round(needed / _GIB, 4),
        "max": round(whole / _GIB, 4),
        "border": card / whole if card else 1.0,
        "parts": parts,
        "spoken": spoken,
        "peak": estimate.memory.peak.name,
        "largest": f"{now.largest[0]}, {units.size(now.largest[1])}",
        "delta": _delta(needed, was, units.size),
    }


def _parts(now: Figures) -> dict[str, int]:
    """Bytes by category; what the process takes beside its tensors is a category too."""
    if not now.categories:
        return {"weights": now.needed}
    rest = now.needed - sum(now.categories.values())
    if rest <= 0:
        return now.categories
    return now.categories | {"process": now.categories.get("process", 0) + rest}


def figures_view(outlook: Outlook) -> list[dict[str, str]]:
    """Parameters, speed, hours and money: label, value, interval, change since the last edit."""
    estimate, now, before = outlook.estimate, outlook.now, outlook.before
    if estimate is None or now is None:
        return []
    size = estimate.size
    active = f"{units.count(size.active)} active" if size.active != size.total else ""
    rows = [_figure("parameters", units.count(size.total), active)]
    speed = estimate.speed
    if speed is None:
        why = estimate.no_speed
        rows.append(_figure("speed", "–", f"not known: {why.why}" if why else "not known"))
        return rows
    rate, bill = speed.tokens_per_second, estimate.bill
    was = before or now

    def spread(
        label: str, of: Interval, past: float | None, spell: Callable[[float], str], unit: str = ""
    ) -> None:
        note = f"{spell(of.low)} to {spell(of.high)}"
        delta = _delta(of.likely, past, spell)
        rows.append(_figure(label, spell(of.likely) + unit, note, delta))

    spread("speed", rate, was.tokens_per_second, units.count, " tokens/s")
    peak = f"of {units.count(speed.peak)}FLOP/s, {speed.precision}"
    rows.append(_figure("MFU", f"{speed.mfu:.0%}", peak))
    if bill is None:
        rows.append(_figure("time", "–", estimate.budget.because))
        return rows
    spread("time", bill.hours, was.hours, hours)
    if bill.dollars is not None:
        spread("cost", bill.dollars, was.dollars, dollars)
    if bill.kilowatt_hours is not None:
        rows.append(_figure("energy", _energy(bill.kilowatt_hours.likely), ""))
    return rows


def _energy(kilowatt_hours: float) -> str:
    return f"{kilowatt_hours:,.0f} kWh" if kilowatt_hours >= 100 else f"{kilowatt_hours:.3g} kWh"


def offers_view(offers: list[Offer]) -> list[dict[str, Any]]:
    """Plans that fit: what each changes, and what it comes to."""
    return [
        {"words": each.words, "notes": " · ".join(each.notes), "fits": each.fits} for each in offers
    ]


def ready_view(outlook: Outlook) -> dict[str, Any]:
    """Whether the plan can be launched, and what is to be said before."""
    errors = [each for each in outlook.findings if each.severity == "error"]
    if errors:
        return {"ready": False, "why": errors[0].message}
    if outlook.fits is False:
        meter = meter_view(outlook)
        words = f"It does not fit: {meter['needed']} of {meter['card']}."
        return {"ready": True, "why": f"{words} You will be asked before it is launched."}
    return {"ready": True, "why": "Ready to launch."}


def _figure(label: str, value: str, note: str, delta: str = "") -> dict[str, str]:
    return {"label": label, "value": value, "note": note, "delta": delta}


def _delta(now: float, before: float | None, spell: Callable[[float], str]) -> str:
    """The change since the last edit; nothing where there is none."""
    if before is None or abs(now - before) <= 1e-4 * abs(before):
        return ""
    return f"{'↑' if now > before else '↓'} {spell(abs(now - before))}"
