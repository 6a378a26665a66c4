"""`ava train` and `ava launch`: compose, check, run, and show what happens."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from workbench.cli.options import TrainOptions, parse
from workbench.cli.output import print_json, relative
from workbench.errors import UsageError

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.runs.directory import RunDir

HELP = """\
usage: ava {command} [RECIPE] [FILE.yaml …] [--config LAYER] [--hardware_config LAYER]
                 [--distributed_config LAYER] [--KEY VALUE …] [--json]
       ava train --resume RUN

{what}

  RECIPE                     one of:
{recipes}
  FILE.yaml                  your own config, over everything but the command line
  --config LAYER             the base layer: a YAML file or a shipped layer such as gpu/tiny
  --hardware_config LAYER    settings for the hardware, over the base
  --distributed_config LAYER settings for several devices, over the hardware
  --KEY VALUE                any config key, by its full path (--training.batch_size 32)
                             or its last name when only one key has it (--batch_size 32)
  --resume RUN               continue a run from its newest good checkpoint; keys that are
                             safe to change, such as --max_steps, may be given beside it
  --queue                    wait until the devices of this machine are free
  --json                     the result as data on stdout, narration on stderr

Often used keys:
  --data.path FILE_OR_DIR    your own .txt, .md, .py or .jsonl instead of the embedded text
  --max_steps N              how long to train          --batch_size N   sequences at a time
  --learning_rate X          how fast to learn          --max_length N   tokens per sequence
  --name NAME                name of the run            --runs_dir DIR   where runs are kept
All keys, with what they mean:  ava config keys

Ctrl-C finishes the step, saves a checkpoint and says how to go on.
"""
_WHAT = {
    "train": "Trains and shows the progress. Closing the terminal does not stop it.",
    "launch": "Starts the training in the background and prints the run's name.",
}


def run(command: str, args: list[str]) -> int:
    """Run `ava train` or `ava launch`."""
    options = parse(args)
    if options.help:
        sys.stdout.write(_help(command))
        return 0
    if options.resume is not None:
        return _resume(command, options)
    if options.recipe is None and not options.layers and not options.overrides:
        raise UsageError(
            "nothing to train yet: name a recipe or a config",
            fix=f"ava {command} tiny_cpu\nava {command} --config gpu/tiny --max_steps 50",
        )
    from workbench.plan import plan_from

    plan = plan_from(options.recipe, layers=options.layers, overrides=options.overrides)
    started = plan.launch(command=["ava", command, *args])
    sys.stderr.write("".join(line + "\n" for line in _remarks(plan.findings)))
    return _after_start(command, started, options)


def _remarks(findings: list[Finding]) -> list[str]:
    """What deserves a look at the start; settings without effect are named in one line.

    A hint about something just typed is never left out: who types a key expects it to act.
    """
    ignored = [finding.path for finding in findings if finding.rule == "not-honoured"]
    lines = [
        finding.render()
        for finding in findings
        if finding.rule != "not-honoured" and (finding.severity == "warning" or _typed(finding))
    ]
    if ignored:
        noun = "setting has" if len(ignored) == 1 else "settings have"
        lines.append(
            f"warning: {len(ignored)} {noun} no effect yet: {', '.join(ignored)}\n"
            "  why:   ava config check says it for each"
        )
    return lines


def _typed(finding: Finding) -> bool:
    from workbench.config.overrides import COMMAND_LINE

    return finding.origin is not None and finding.origin.layer == COMMAND_LINE


def _resume(command: str, options: TrainOptions) -> int:
    runs_dir = options.overrides.pop("runs_dir", options.overrides.pop("run.runs_dir", "runs"))
    queue = options.overrides.pop("queue", options.overrides.pop("run.queue", None))
    if options.recipe or options.layers:
        raise UsageError(
            "a resumed run keeps the config that it was started with",
            fix=f"ava {command} --resume {options.resume}"
            "\nfor other settings start a new run: leave out --resume",
        )
    from workbench.resuming import resume
    from workbench.runs.directory import expanded, open_run
    from workbench.runs.status import verdict

    resumed = open_run(expanded(runs_dir), str(options.resume))
    state = verdict(resumed)
    if state.alive and not options.overrides:
        sys.stderr.write(f"{resumed.name} is running already: watching it\n")
    elif state.state == "finished" and not options.overrides:
        sys.stderr.write(f"{resumed.name} has finished: nothing is left to do\n")
        if command == "launch":
            if options.json:
                print_json(_identity(resumed))
            return 0
    else:
        wanted = None if queue is None else queue == "true"
        for key, (before, after) in resume(resumed, options.overrides, queue=wanted).items():
            sys.stderr.write(f"changed {key}: {before} → {after}\n")
    return _after_start(command, resumed, options)


def _after_start(command: str, started: RunDir, options: TrainOptions) -> int:
    if command == "launch":
        if options.json:
            print_json(_identity(started))
        else:
            from workbench.runs.status import verdict

            state = verdict(started)
            sys.stdout.write(f"{started.name}\n")
            waiting = f"queued, {state.reason}," if state.state == "queued" else "running"
            sys.stderr.write(
                f"{waiting} in {relative(started.path)}\n"
                f"watch it with: ava runs watch {started.name}\n"
            )
        return 0
    from workbench.cli.live import watch

    return watch(started, json=options.json, stop_on_interrupt=True)


def _identity(item: RunDir) -> dict[str, str]:
    return {"name": item.name, "path": str(item.path.resolve())}


def _help(command: str) -> str:
    from workbench.plan import recipes

    shown = [item for item in recipes() if item.featured]
    width = max(len(item.name) for item in shown)
    listed = "\n".join(f"    {item.name:<{width}}  {item.title}" for item in shown)
    listed += f"\n    and {len(recipes()) - len(shown)} more: ava config presets"
    return HELP.format(command=command, what=_WHAT[command], recipes=listed)


def seed_forms() -> int:
    """`python -m workbench.train …`, the form that the guides of other trainers use."""
    from workbench.cli.guard import guarded
    from workbench.cli.streams import make_usable

    make_usable()
    return guarded(run, "train", sys.argv[1:])
