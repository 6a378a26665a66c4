"""A new version of a lesson into a learner's notebook: theirs stays, ours moves on."""

from __future__ import annotations

from typing import Any, Final

from workbench.lessons.notebooks import source_hash
from workbench.lessons.notebooks_reading import COPY

_OURS: Final = ("tags", "ava")  # keys of a cell's metadata that come with the lesson


def merge(mine: dict[str, Any], fresh: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Update a learner's notebook to a new version of its lesson.

    Cells that the learner has not touched become the new ones, or go when the lesson has dropped
    them. Edited and added cells stay where they are. New cells come after the cell that they follow
    in the lesson. Cells that the learner has deleted stay deleted.

    Args:
        mine: The learner's notebook, with the hashes of the version that it was made from.
        fresh: The notebook of the new version, with its hashes.

    Returns:
        The merged notebook, and what a person should know about it.
    """
    shipped = dict(mine["metadata"][COPY]["cells"])
    new = {cell["id"]: cell for cell in fresh["cells"]}
    found = _matched(mine["cells"], shipped.keys() | new.keys())
    edited = {
        cell_id
        for cell_id, cell in found.items()
        if source_hash(cell["source"]) != shipped.get(cell_id)
    }
    order = _order(list(found), list(shipped), list(new))
    followers, dropped = _followers(mine["cells"], found, edited, set(order))
    notes = [f"cell {cell_id}: no longer in the lesson; your edit stays" for cell_id in dropped]
    cells = list(followers.get(None, ()))
    for cell_id in order:
        if cell_id not in found:
            cells.append(new[cell_id])
        elif cell_id not in edited:
            cells.append(_updated(found[cell_id], new[cell_id]))
        else:
            cells.append(_marked(found[cell_id], new[cell_id]))
            if shipped.get(cell_id) != source_hash(new[cell_id]["source"]):
                notes.append(f"cell {cell_id}: new in the lesson; your edit stays as it is")
        cells += followers.get(cell_id, ())
    gone = [cell_id for cell_id in new if cell_id in shipped and cell_id not in found]
    if gone:
        notes.append(f"you have deleted {', '.join(gone)}: not brought back")
    metadata = {**mine["metadata"], **fresh["metadata"]}
    minor = max(mine.get("nbformat_minor", 0), fresh["nbformat_minor"])
    return {**mine, "nbformat_minor": minor, "metadata": metadata, "cells": _named(cells)}, notes


def _followers(
    cells: list[dict[str, Any]],
    found: dict[str, dict[str, Any]],
    edited: set[str],
    order: set[str],
) -> tuple[dict[str | None, list[dict[str, Any]]], list[str]]:
    """The cells that are the learner's own, by the lesson's cell above them.

    Returns:
        These cells, and the ids of those that the lesson had once and the learner has edited.
    """
    names = {id(cell): cell_id for cell_id, cell in found.items()}
    followers: dict[str | None, list[dict[str, Any]]] = {}
    dropped = []
    above: str | None = None
    for cell in cells:
        cell_id = names.get(id(cell))
        if cell_id in order:
            above = cell_id
        elif cell_id is None or cell_id in edited:
            followers.setdefault(above, []).append(cell)
            if cell_id is not None:
                dropped.append(cell_id)
    return followers, dropped


def _matched(cells: list[dict[str, Any]], known: set[str]) -> dict[str, dict[str, Any]]:
    """The lesson's cells in a notebook, by id, in its order.

    A program that knows no cell ids drops them; the lesson's own id in the metadata stays. It is
    no first choice: a copy that the learner has made of a cell has it too.
    """
    by_id = {cell["id"]: cell for cell in reversed(cells) if cell.get("id") in known}
    for cell in cells:
        ava = cell["metadata"].get("ava")
        cell_id = ava.get("id") if isinstance(ava, dict) else None
        if "id" not in cell and isinstance(cell_id, str) and cell_id in known:
            by_id.setdefault(cell_id, cell)
    names = {id(cell): cell_id for cell_id, cell in by_id.items()}
    return {names[id(cell)]: cell for cell in cells if id(cell) in names}


def _order(found: list[str], shipped: list[str], new: list[str]) -> list[str]:
    """The lesson's cells in the order of the merged notebook.

    That is the lesson's new order, unless the learner has moved cells: then theirs, and what is new
    comes after the cell that it follows in the lesson.
    """
    stay = [cell_id for cell_id in found if cell_id in new]
    if [cell_id for cell_id in shipped if cell_id in stay] == [c for c in stay if c in shipped]:
        return [cell_id for cell_id in new if cell_id in found or cell_id not in shipped]
    order = stay
    above: str | None = None
    for cell_id in new:
        if cell_id in order:
            above = cell_id
        elif cell_id not in shipped:
            order.insert(order.index(above) + 1 if above is not None else 0, cell_id)
            above = cell_id
    return order


def _marked(cell: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The learner's cell with the lesson's tags and title."""
    kept = {key: value for key, value in cell["metadata"].items() if key not in _OURS}
    ours = {key: new["metadata"][key] for key in _OURS if key in new["metadata"]}
    return {**cell, "id": new["id"], "metadata": kept | ours}


def _updated(cell: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The lesson's new cell; outputs stay only where the code that made them does."""
    marked = _marked(cell, new)
    if source_hash(cell["source"]) == source_hash(new["source"]):
        return marked
    return {**new, "metadata": marked["metadata"]}


def _named(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells, each with an id that no other has; the first of two equal ones keeps it."""
    import secrets

    seen: set[str] = set()
    named = []
    for cell in cells:
        cell_id = cell.get("id")
        if not isinstance(cell_id, str) or cell_id in seen:
            cell_id = secrets.token_hex(4)
        seen.add(cell_id)
        named.append({**cell, "id": cell_id})
    return named
