"""`ava data`: tokenise a text once, learn a vocabulary, and see what a prepared folder holds."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from workbench import units
from workbench.cli.output import console, print_json, relative
from workbench.errors import DataError, UsageError, WorkbenchError

if TYPE_CHECKING:
    from collections.abc import Callable

# Keys of `data` that say what is prepared: they are options here, under their own names.
_KEYS = (
    "text_field",
    "pair_field",
    "label_field",
    "format",
    "dataset_config_name",
    "cache_dir",
    "file_pattern",
    "exclude_pattern",
    "validation_fraction",
    "min_sequence_length",
    "max_consecutive_repeats",
    "max_sequence_repetition_rate",
    "skip_malformed_sequences",
)

_PHASES = {"learn": "learning the vocabulary", "tokenise": "tokenising"}


def run(_command: str, args: list[str]) -> int:
    """Run `ava data`."""
    options = _parser().parse_args(args)
    if options.action is None:
        raise UsageError("say what to do", fix="ava data prepare TEXT --out DIR\nava data show DIR")
    as_json = bool(getattr(options, "json", False))
    if options.action == "show":
        return _show(Path(options.dir), as_json=as_json)
    return _prepare(options, as_json=as_json)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, fix="ava data --help")


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="data only")
    parser = _Parser(
        prog="ava data", description="Texts, made ready to train on.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="data on stdout")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    action = actions.add_parser(
        "prepare",
        parents=[common],
        allow_abbrev=False,
        help="tokenise a text into files that trainings map into memory",
        description="Tokenises a text once. A training on the result starts at once and needs no "
        "memory for it, however large it is.",
    )
    action.add_argument(
        "text",
        metavar="TEXT",
        nargs="?",
        help="a file or folder, a dataset saved on disk; left out: the Python standard library",
    )
    action.add_argument("--dataset_name", "--dataset-name", help="a dataset of the hub instead")
    action.add_argument("--out", required=True, metavar="DIR", help="the folder to make")
    action.add_argument(
        "--tokenizer",
        metavar="NAME",
        help="bytes (the default), a tokenizer.json, a folder with one, or a name of the hub",
    )
    action.add_argument(
        "--vocab_size",
        "--vocab-size",
        type=int,
        metavar="N",
        help="learn a byte-level BPE vocabulary of N tokens from the text",
    )
    action.add_argument("--force", action="store_true", help="replace a prepared folder")
    for key in _KEYS:
        action.add_argument(
            f"--{key}", f"--{key.replace('_', '-')}", metavar="VALUE", help=f"as data.{key}"
        )
    show = actions.add_parser("show", parents=[common], help="what a prepared folder holds")
    show.add_argument("dir", metavar="DIR")
    return parser


def _prepare(options: argparse.Namespace, *, as_json: bool) -> int:
    spec = _spec(options)
    index = _work(spec, narrate=not as_json)
    out = relative(Path(spec["out"]))
    if as_json:
        print_json({"path": spec["out"], **index})
    else:
        _tell(index, out)
    return 0


def _spec(options: argparse.Namespace) -> dict[str, Any]:
    if options.text is not None and options.dataset_name is not None:
        raise UsageError("one text at a time: a path, or --dataset_name", fix="ava data --help")
    if options.tokenizer is not None and options.vocab_size is not None:
        raise UsageError(
            "--vocab_size learns a tokenizer, and --tokenizer names one", fix="keep one of the two"
        )
    smallest = 257  # the bytes, and the end of a text
    if options.vocab_size is not None and not smallest <= options.vocab_size <= 2**24:
        raise UsageError(
            f"a vocabulary of {options.vocab_size} tokens cannot be made",
            why="it holds the 256 bytes and the token that ends a text",
            fix=f"--vocab_size N, with N from {smallest} to {2**24:,}",
        )
    typed = {key: getattr(options, key) for key in _KEYS if getattr(options, key) is not None}
    typed |= {"path": options.text} if options.text is not None else {}
    typed |= {"dataset_name": options.dataset_name} if options.dataset_name is not None else {}
    typed |= {"tokenizer_name": options.tokenizer} if options.tokenizer is not None else {}
    return {
        "data": _checked(typed),
        "out": str(Path(options.out).expanduser().absolute()),
        "vocab_size": options.vocab_size,
        "replace": options.force,
    }


def _checked(typed: dict[str, str]) -> dict[str, Any]:
    """The typed words as values of their keys, checked as everywhere."""
    from workbench.plan import plan_from

    words = {f"data.{key}": value for key, value in typed.items()}
    tree = plan_from(None, overrides=words).tree["data"]
    return {key: tree[key] for key in typed}


def _work(spec: dict[str, Any], *, narrate: bool) -> dict[str, Any]:
    """Run the preparation in a process of its own, and show how far it is."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    command = [sys.executable, "-m", "workbench.data", json.dumps(spec)]
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    bar = Progress(*columns, console=console(narration_only=True), transient=True)
    with bar, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        task = bar.add_task("reading", total=None, visible=narrate)

        def show(told: dict[str, Any]) -> None:
            words = _PHASES.get(told["phase"], told["phase"])
            if "tokens" in told:
                words += f", {units.count(told['tokens'])} tokens"
            fraction = told["fraction"]
            if fraction >= 0:
                bar.update(task, description=words, total=1.0, completed=fraction)
            else:
                bar.update(task, description=words)

        try:
            result = _follow(process, show)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if result is None:
        if process.returncode == 130:
            raise KeyboardInterrupt
        raise DataError(
            "the preparation ended without a word",
            where=spec["out"],
            why=f"its process ended with code {process.returncode}; "
            "when memory runs out, the system ends a process so",
            fix="try again; nothing of it is left behind",
        )
    return result


def _follow(
    process: subprocess.Popen[str], show: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    result: dict[str, Any] | None = None
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        if "error" in told:
            raise WorkbenchError.from_dict(told["error"])
        if "index" in told:
            result = told["index"]
        else:
            show(told)
    process.wait()
    return result


def _show(path: Path, *, as_json: bool) -> int:
    try:
        index = json.loads((path / "index.json").read_bytes())
        if index["format"] != "ava-shards":
            raise KeyError("format")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{relative(path)} is no folder of prepared text",
            where=str(path / "index.json"),
            fix="prepare one: ava data prepare TEXT --out DIR",
        ) from None
    if as_json:
        print_json({"path": str(path.absolute()), **index})
    else:
        _tell(index, relative(path))
    return 0


def _tell(index: dict[str, Any], out: str) -> None:
    told, train, held = index["tokenizer"], index["train"], index["validation"]
    lines: list[str] = []
    size = sum(file["size"] for file in index["files"].values())
    lines.append(f"text        {index['text']}")
    lines.append(f"tokenizer   {told['name']}, {told['vocab_size']:,} tokens")
    lines.append(f"to train    {train['tokens']:,} tokens in {train['documents']:,} texts")
    lines.append(f"held out    {held['tokens']:,} tokens in {held['documents']:,} texts")
    if index["repeats"]:
        lines.append(f"repeated    {index['repeats']:,} texts that occurred before were left out")
    lines += [f"skipped     {each['path']} {each['why']}" for each in index["skipped"][:5]]
    if index["skipped_total"] > 5:
        lines.append(f"skipped     {index['skipped_total'] - 5:,} more")
    lines.append(f"on disk     {units.size(size)} in {out}/")
    options = f"--data.path {out}"
    if told["name"] != "bytes":
        padded = -(-told["vocab_size"] // 64) * 64
        options += f" --data.tokenizer_name {out} --model.vocab_size {padded}"
    lines.append(f"\ntrain on it: ava train tiny_cpu {options}")
    sys.stdout.write("\n".join(lines) + "\n")
