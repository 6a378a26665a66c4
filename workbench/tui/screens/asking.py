"""What Build asks: lists to pick from, names to type, and a last look before a launch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from workbench import units
from workbench.tui.form import value_text
from workbench.tui.pages.estimate import Figures, Outlook, dollars, verdict_row
from workbench.tui.pages.key import full_page
from workbench.tui.rows import Row, heading, wrap
from workbench.tui.screens.dialog import Answer, Dialog
from workbench.tui.screens.picker import Item, Picker
from workbench.tui.screens.questions import trouble

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.config.keys import Key
    from workbench.config.profile import HardwareProfile
    from workbench.draft import Draft
    from workbench.fitting import Offer
    from workbench.tui.form import Shown
    from workbench.tui.widgets.canvas import Page

__all__ = [
    "Choice", "choice", "fit", "hardware", "key", "launch", "layer", "leave", "other", "save",
    "trouble", "what_if",
]  # fmt: skip

_CLOSE = Answer(("escape", "enter", "q", "question_mark", "f1"), "Close", None)
_BACK = Answer(("escape",), "Back", None)
_THIS_MACHINE = ""


class Choice(NamedTuple):
    """A list of plans to pick from.

    Attributes:
        screen: The list.
        edits: By the value of an item, what picking it sets.
        titles: The same in words.
    """

    screen: Picker
    edits: dict[str, dict[str, Any]]
    titles: dict[str, str]


def key(key: Key, shown: Shown, findings: list[Finding]) -> Dialog:
    """Everything about a key of the config."""
    return Dialog("Key", full_page(key, shown, findings), [_CLOSE])


def choice(key: Key, value: Any) -> Picker:
    """The words that a key takes."""
    items = [
        Item(
            word,
            word,
            key.unhonoured_values.get(word, "the default" if word == key.default else ""),
        )
        for word in key.choices
    ]
    if key.optional:
        items.append(Item("null", "–", "no value"))
    return Picker(key.path, items, chosen=str(value))


def hardware(draft: Draft) -> Picker:
    """The devices: this machine first, each with its memory, its price and what would fit."""
    from workbench.hardware.devices import device, names
    from workbench.machine import cores, total_memory

    memory = total_memory()
    here = f"{units.size(memory)} of RAM" if memory else ""
    items = [Item(_THIS_MACHINE, "this machine", f"{cores()} cores, {here}")]
    for name in names():
        profile = device(name)
        items.append(Item(name, f"{name:<18} {profile.title}", _device_note(profile)))
    now = draft.hardware
    return Picker(
        "Plan for", items, chosen=now.name if now is not None else _THIS_MACHINE, wide=True
    )


def _device_note(profile: HardwareProfile) -> str:
    parts = [units.size(profile.memory_bytes) if profile.memory_bytes else "the host's memory"]
    if profile.devices_per_node > 1:
        parts.append(f"× {profile.devices_per_node}")
    if profile.price_per_hour is not None:
        parts.append(f"${profile.price_per_hour:.2f}/h")
    return " ".join(parts)


def layer() -> Picker:
    """The layers that come with the workbench."""
    from workbench.config.layers import shipped

    return Picker("Lay over the plan", [Item(name, name) for name in shipped()])


def fit(draft: Draft) -> Choice:
    """Plans that fit, the fastest first; where none does, other hardware that would.

    Raises:
        FindingsError: The plan has errors.
        WorkbenchError: Nothing was found.
    """
    from workbench.fitting import offers

    items, edits, titles = [], {}, {}
    for number, offer in enumerate(offers(draft)):
        value = str(number)
        role = "good" if offer.fits else "warn"
        notes = "  ".join(offer.notes)
        items.append(Item(value, offer.words, notes, role, _preview(offer, draft)))
        edits[value], titles[value] = offer.edits, offer.words
    return Choice(Picker("Plans that fit", items, wide=True), edits, titles)


def _preview(offer: Offer, draft: Draft) -> Page:
    """What a plan would set."""

    def page(width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [heading("It sets", width)]
        for path, value in offer.edits.items():
            now = value_text(draft.value(path))
            rows.append(
                [(f"{path}  ", ""), (now, "dim"), (" → ", "dim"), (value_text(value), "value")]
            )
        return rows if offer.edits else [*rows, [("nothing: the plan fits as it is", "good")]]

    return page


def what_if(draft: Draft) -> Choice:
    """The plan with one thing changed at a time.

    Raises:
        WorkbenchError: The plan has a value that is none.
    """
    from workbench.errors import WorkbenchError
    from workbench.estimate.what_if import what_if as look
    from workbench.hardware.devices import device, names
    from workbench.machine import total_memory

    config = draft.config
    if config is None:
        raise WorkbenchError("a value of the plan is none", fix="repair it first: it is marked ✗")
    profile = draft.hardware
    found = look(
        config,
        profile,
        cards=[device(name) for name in names()],
        origins=draft.plan.composed.origins,
        capacity=total_memory() if profile is None else None,
    )
    items, edits, titles = [], {}, {}
    for number, each in enumerate(found):
        sign, role = {True: ("✓", "good"), False: ("✗", "error"), None: ("?", "dim")}[each.fits]
        need, more = each.need, each.more_bytes
        parts = [f"{units.size(need.bytes):>9}"]
        parts.append(f"{_signed(more) if more else '':>11}")
        parts.append(f"{'' if each.faster is None else f'× {each.faster:.2f}':>7}")
        if each.pace.dollars is not None:
            parts.append(f"{dollars(each.pace.dollars):>8}")
        value = str(number)
        items.append(Item(value, f"{sign} {each.group:<12} {each.name}", "  ".join(parts), role))
        edits[value], titles[value] = each.edits, f"{each.group}: {each.name}"
    return Choice(Picker("What if", items, wide=True), edits, titles)


def _signed(size: int) -> str:
    return f"{'+' if size > 0 else '-'}{units.size(abs(size))}"


def save() -> Dialog:
    """The file of the new layer."""
    rows: list[Row] = [
        [("A file with what you set; it extends the layers below.", "")],
        [("A file that is there already is not written over.", "dim")],
        [],
        [("Name of the file", "")],
    ]
    answers = [Answer(("enter",), "Save", ""), _BACK]
    return Dialog("Save as a layer", lambda _w, _h: rows, answers, field="mine.yaml")


def launch(draft: Draft) -> Dialog:
    """A last look: where, how long, what is written; None to go back."""
    errors = [finding for finding in draft.findings if finding.severity == "error"]
    if errors or draft.config is None:
        answers = [_CLOSE]
        return Dialog("Not ready", lambda width, _h: _errors(errors, width), answers)
    answers = [Answer(("enter",), "Launch", ""), _BACK]
    return Dialog(
        "Launch", lambda width, _h: _last_look(draft, width), answers, field="name of the run"
    )


def _errors(errors: list[Finding], width: int) -> list[Row]:
    rows: list[Row] = [[("These stop a launch; keys 1 to 9 in Build repair them:", "")], []]
    for finding in errors:
        first, *rest = wrap(finding.message, width - 2)
        rows += [[("✗ ", "error"), *first], *([("  ", ""), *row] for row in rest)]
    return rows


def _last_look(draft: Draft, width: int) -> list[Row]:
    config, estimate = draft.config, draft.estimate
    assert config is not None, "a plan without errors has a config"
    assert estimate is not None, "and an estimate"
    rows: list[Row] = [verdict_row(_outlook(draft), width), []]
    parallel = config.parallel
    devices = parallel.num_nodes * parallel.devices_per_node
    processes = "one process" if devices == 1 else f"{devices} processes"
    profile = draft.hardware
    planned = f"; planned for {profile.title}" if profile is not None else ""
    facts = [
        ("where", f"this machine, {processes}{planned}"),
        ("step", estimate.batch.equation()),
        ("writes", f"{config.run.runs_dir}/NAME: config, metrics, log, checkpoints"),
    ]
    if estimate.budget.steps is not None:
        long = f"{estimate.budget.steps:,} steps"
        if estimate.time is not None:
            long += f", about {units.duration(3600 * estimate.time.likely)}"
        facts.insert(1, ("length", long))
    for label, text in facts:
        first, *rest = wrap(text, width - 9)
        rows += [[(f"{label:<9}", "dim"), *first], *([(" " * 9, ""), *row] for row in rest)]
    warnings = sum(finding.severity == "warning" for finding in draft.findings)
    if warnings:
        rows += [
            [],
            [(f"▲ {warnings} warning{'s' if warnings > 1 else ''}: they stand in Build", "warn")],
        ]
    return rows


def _outlook(draft: Draft) -> Outlook:
    from workbench.machine import total_memory

    estimate = draft.estimate
    now = None if estimate is None else Figures.of(estimate)
    machine = total_memory() if draft.hardware is None else None
    return Outlook(estimate, now, None, draft.findings, machine)


def other(kept: Draft) -> Dialog:
    """``leave`` the kept draft for another one, ``keep`` it, or None to do nothing."""
    edits = len(kept.edits)
    words = f"Build holds another plan with {edits} edit{'s' if edits != 1 else ''}."
    answers = [
        Answer(("enter",), "Go on with that one", "keep"),
        Answer(("n",), "Drop it", "leave"),
        _BACK,
    ]
    return Dialog("Another plan", lambda _w, _h: [[(words, "")]], answers)


def leave(edits: int) -> Dialog:
    """``leave``, ``save``, or None to stay."""
    words = f"{edits} edit{'s are' if edits != 1 else ' is'} nowhere but here."
    answers = [
        Answer(("enter", "s"), "Save first", "save"),
        Answer(("q",), "Leave without", "leave"),
        Answer(("escape",), "Stay", None),
    ]
    return Dialog("Leave Build", lambda _w, _h: [[(words, "")]], answers)
