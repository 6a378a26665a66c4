"""From a config to flags: in a list, or back into the script or manifest that they came from."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.aws_fsdp.families import fixed, nearest
from workbench.dialects.aws_fsdp.flags import BY_NAME, CORE, FLAGS, OURS
from workbench.dialects.aws_fsdp.manifest import instances, put_back, with_instance, with_machines
from workbench.dialects.aws_fsdp.reading import (
    AROUND,
    DOCUMENTS,
    ORDER,
    REPEATED,
    WORDS,
    devices_of,
    profile_of,
)
from workbench.dialects.aws_fsdp.saying import said_by
from workbench.dialects.aws_fsdp.source import MARKER
from workbench.dialects.aws_fsdp.template import new_manifest, new_script
from workbench.dialects.aws_fsdp.words import spelled
from workbench.dialects.telling import Teller

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Writing

_VARIABLES: Final = re.compile(r"--\w+=(?:[\w./:@-]|\$\w+|\$\{\w+(?::?[-=][\w./-]*)?\})*")
_OWN: Final = (AROUND, DOCUMENTS, ORDER, REPEATED, WORDS)


def write(config: Config, *, chosen: frozenset[str]) -> Writing:
    """Say a config in flags.

    A config that was read from a list, a script or a manifest goes back into one of the same kind;
    any other gets all three.
    """
    teller = Teller("aws_fsdp", config, chosen)
    residue = teller.tree
    family = nearest(config)
    values = said_by(teller, family)
    _lose_structure(teller, family)
    kept = {name: value for name, value in residue.items() if name in BY_NAME}
    flags = _flags(residue, values | _stays(kept, values, chosen))
    name = _name(config)
    own = {*_OWN, *(str(name) for name in residue.get(ORDER, ()))}
    manifest = {key: value for key, value in residue.items() if key not in own}
    if manifest:
        return _into_manifest(teller, manifest, flags, name)
    if AROUND in residue:
        return _into_script(teller, str(residue[AROUND]), flags, name)
    words = [str(word) for word in residue.get(WORDS, ())]
    text = " ".join(["\n".join(map(quoted, flags)), *map(quoted, words)]) + "\n"
    files = {name if "." in name else f"{name}.txt": text}
    if ORDER not in residue:
        _said_machines(teller)
        teller.said(
            "run.name", "run.hardware"
        )  # the files are called by it; two of them ask for it
        files[f"{name}-training.sbatch"] = new_script(config, name, flags)
        files[f"{name}-fsdp.yaml"] = new_manifest(config, name, flags)
    else:
        _lose_machines(teller)
    return teller.writing(files, command=_torchrun(config, flags), rest="no flag says it")


def _name(config: Config) -> str:
    """The name of the file that it was, or of the run."""
    if config.imported.system == "aws_fsdp" and config.imported.source:
        return config.imported.source
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", config.run.name or "").strip("-.")
    return words.replace(".", "_") or "model"


def _stays(kept: dict[str, Any], values: dict[str, Any], chosen: frozenset[str]) -> dict[str, Any]:
    """The residue that stays: of flags without a key, or whose key nobody has set."""
    return {
        name: value
        for name, value in kept.items()
        if name not in values or OURS[name] not in chosen or values[name] == BY_NAME[name].default
    }


def _flags(residue: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """The flags in the order of the file that they came from; new ones behind."""
    fresh = ORDER not in residue
    names = [str(name) for name in residue.get(ORDER, ())]
    for flag in FLAGS:
        if flag.name in names or flag.name not in values:
            continue
        if (fresh and flag.name in CORE) or values[flag.name] != flag.default:
            names.append(flag.name)
    written: list[str] = []
    repeated = residue.get(REPEATED, {})
    for name in names:
        if name in BY_NAME and name not in values:
            continue
        written += [spelled(name, each) for each in repeated.get(name, ())]
        written.append(spelled(name, values[name] if name in values else residue.get(name)))
    return written


def _lose_structure(teller: Teller, family: str) -> None:
    """Name what the family does otherwise, whatever the config says."""
    for path, value in fixed(family).items():
        if teller.our(path) == value:
            teller.said(path)
        elif path in teller.chosen:
            shown = "null" if value is None else str(value).lower()
            teller.lose(path, f"--model_type={family} always has {shown}")


def _into_manifest(teller: Teller, tree: dict[str, Any], flags: list[str], name: str) -> Writing:
    from workbench.dialects.aws_fsdp.manifest import find_manifest
    from workbench.dialects.aws_fsdp.template import as_yaml

    probe = put_back(tree, flags)
    found = find_manifest(probe, {}, name)
    launch = found.source.launch if found else None
    nodes = _changed(teller, "parallel.num_nodes", launch.nodes if launch else None, 1)
    named = profile_of(instances(as_yaml(tree)))
    asked = launch.devices if launch else None
    devices = _changed(teller, "parallel.devices_per_node", asked, devices_of(named))
    words = [str(word) for word in teller.tree.get(WORDS, ())]
    tree = put_back(with_machines(tree, nodes, devices), [*flags, *words])
    text = _with_hardware(teller, as_yaml(tree))
    if documents := teller.tree.get(DOCUMENTS):
        text = "---\n".join(text if part == MARKER else str(part) for part in documents)
    _said_machines(teller)
    command = f"envsubst < {shlex.quote(name)} | kubectl apply -f -"
    return teller.writing({name: text}, command=command, rest="no flag says it")


def _into_script(teller: Teller, around: str, flags: list[str], name: str) -> Writing:
    from workbench.dialects.aws_fsdp.source import shell_source

    inside = re.search(r"\(\s*" + re.escape(MARKER), around) is not None
    gap = "\n    " if inside else " \\\n    "
    launch = shell_source(around.replace(MARKER, "--hidden_width=1"), name).launch
    for path, written in (
        ("parallel.num_nodes", launch.nodes),
        ("parallel.devices_per_node", launch.devices),
    ):
        assumed = 1 if path.endswith("nodes") else devices_of(profile_of(instances(around)))
        wanted = _changed(teller, path, written, assumed)
        if wanted is not None:
            around = _renumbered(around, path, wanted)
            again = shell_source(around.replace(MARKER, "--hidden_width=1"), name).launch
            now = again.nodes if path.endswith("nodes") else again.devices
            if now != str(wanted):
                teller.lose(path, "the script does not say it in a place that can be changed")
                continue
        teller.said(path)
    words = [str(word) for word in teller.tree.get(WORDS, ())]
    text = around.replace(MARKER, gap.join(map(quoted, [*flags, *words])))
    text = _with_hardware(teller, text)
    teller.said("parallel.strategy")
    return teller.writing(
        {name: text}, command=f"sbatch {shlex.quote(name)}", rest="no flag says it"
    )


def _renumbered(text: str, path: str, wanted: int) -> str:
    """A script with another number of nodes or devices, where it says the number plainly."""
    if path.endswith("num_nodes"):
        text = re.sub(r"(?m)^(#SBATCH\s+(?:--nodes|-N)[= ]\s*)\d+", rf"\g<1>{wanted}", text)
        return re.sub(r"(--nnodes[= ])\d+", rf"\g<1>{wanted}", text)
    text = re.sub(r"(?m)^((?:export\s+)?\w*GPU\w*=)\d+", rf"\g<1>{wanted}", text)
    text = re.sub(r"(?m)^(#SBATCH\s+--gpus-per-node[= ]\s*(?:\w+:)*)\d+", rf"\g<1>{wanted}", text)
    return re.sub(r"(--nproc[_-]per[_-]node[= ])\d+", rf"\g<1>{wanted}", text)


def _changed(teller: Teller, path: str, written: str | None, assumed: int) -> int | None:
    """The number to write; None where the file says it, or leaves open what reading assumed."""
    value: int = teller.our(path)
    if written is not None and written.partition(":")[0] == str(value):
        return None
    left_open = written is None or not written.isdecimal()
    return None if left_open and (path not in teller.chosen or value == assumed) else value


def _with_hardware(teller: Teller, text: str) -> str:
    """A text that names the hardware of the plan, where it named any."""
    wanted, named = teller.our("run.hardware"), instances(text)
    if wanted is not None and len(named) == 1 and instances(f"ml.{wanted}"):
        text = with_instance(text, wanted)
        teller.said("run.hardware")
    elif wanted is not None:
        teller.lose("run.hardware", "the file names no instance type")
    return text


def _said_machines(teller: Teller) -> None:
    teller.said("parallel.num_nodes", "parallel.devices_per_node", "parallel.strategy")


def _lose_machines(teller: Teller) -> None:
    teller.said("parallel.strategy")
    for path in ("parallel.num_nodes", "parallel.devices_per_node"):
        if teller.our(path) == 1:
            teller.said(path)
        elif path in teller.chosen:
            teller.lose(path, "a list of flags says nothing about machines; the command does")


def _torchrun(config: Config, flags: list[str]) -> str:
    parallel = config.parallel
    words = ["torchrun", f"--nnodes={parallel.num_nodes}",
             f"--nproc_per_node={parallel.devices_per_node}", "train.py", *flags]  # fmt: skip
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """A word as the shell takes it; plain variables are left to the shell."""
    return word if _VARIABLES.fullmatch(word) else shlex.quote(word)
