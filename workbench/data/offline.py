"""What to say when the Hugging Face hub gives nothing: one message, and what to do."""

from __future__ import annotations

import os

from workbench.errors import DataError

_OFFLINE_SWITCHES = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE")
_MISSING = ("RepositoryNotFound", "EntryNotFound", "RevisionNotFound", "DatasetNotFound")


def offline_error(what: str, name: str, where: str, error: Exception) -> DataError:
    """A failed request to the hub as one message.

    Args:
        what: What was wanted: ``the tokenizer``, ``the dataset``.
        name: Its name.
        where: The key that names it.
        error: What the client raised.
    """
    asleep = [switch for switch in _OFFLINE_SWITCHES if os.environ.get(switch, "0") != "0"]
    kind = type(error).__name__
    reason = next(iter(str(error).strip().splitlines()), "") or kind
    if asleep:
        return DataError(
            f"{what} {name!r} is not on this machine, and {asleep[0]} keeps it offline",
            where=where,
            why="only what was downloaded before can be opened",
            fix=f"unset {asleep[0]} and try again where there is a network,\n"
            "or copy it here and give its path",
        )
    if any(word in kind for word in _MISSING):
        return DataError(
            f"the hub has no {what.removeprefix('the ')} {name!r}, or you may not read it",
            where=where,
            why=reason[:200],
            fix="see the spelling at https://huggingface.co, "
            "and log in if it is private: hf auth login",
        )
    return DataError(
        f"cannot get {what} {name!r} from the Hugging Face hub",
        where=where,
        why=f"{kind}: {reason[:200]}",
        fix="see that there is a network, and try again;\n"
        "or download it elsewhere, copy it here and give its path",
    )
