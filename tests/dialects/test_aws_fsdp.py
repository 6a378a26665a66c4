"""AWS FSDP: flags in a list, a script and a manifest, as argparse takes them."""

from __future__ import annotations

import argparse
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import SHARED
from workbench.config.checking import validate
from workbench.config.keys import value_at
from workbench.config.layers import Layer, compose
from workbench.config.schema import Config
from workbench.config.size import size_of
from workbench.dialects.aws_fsdp import DIALECT
from workbench.dialects.aws_fsdp.flags import ALIASES, BY_NAME, FLAGS
from workbench.dialects.aws_fsdp.source import Word
from workbench.dialects.aws_fsdp.words import parse_words
from workbench.dialects.base import Foreign, Reading, Writing
from workbench.errors import ConfigError

UPSTREAM = SHARED / "upstream/aws_fsdp"
FILES = sorted(path for path in UPSTREAM.rglob("*") if path.is_file())
needs_files = pytest.mark.skipif(not FILES, reason="the upstream files are not here")

LIST = """\
--max_context_width=4096
--num_key_value_heads=32 # 7b: 32 13b: 40 70b: 8
--intermediate_size=11008
--hidden_width=4096
--num_layers=32
--num_heads=32
--model_type=llama_v2
--tokenizer="hf-internal-testing/llama-tokenizer"
--checkpoint_freq=50
--validation_freq=100
--max_steps=100
--checkpoint_dir=./checkpoints
--dataset='allenai/c4'
--resume_from_checkpoint=./checkpoints
--train_batch_size=1
--val_batch_size=2
--sharding_strategy=full # https://pytorch.org/docs/stable/fsdp.html
--offload_activations=1
"""

SCRIPT = """\
#!/bin/bash
#SBATCH --nodes=4 # number of nodes to use
#SBATCH --job-name=llama2_7b-FSDP
set -ex;

GPUS_PER_NODE=8 # 4 for G5.12x, 8 for P4/P5
export NCCL_SOCKET_IFNAME=^docker,lo

declare -a TORCHRUN_ARGS=(
    --nproc_per_node=$GPUS_PER_NODE
    --nnodes=$SLURM_JOB_NUM_NODES
    --rdzv_endpoint=$(hostname)
)
export TRAIN_SCRIPT=./train.py

declare -a TRAINING_ARGS=(
    --hidden_width=1024 \\
    --num_layers=8
    --num_heads=16
    --model_type="llama_v3"
    --max_training_steps=500
    --sharding_strategy="full" \\ # https://pytorch.org/docs/stable/fsdp.html
    --offload_activation=1
)
srun -l torchrun "${TORCHRUN_ARGS[@]}" $TRAIN_SCRIPT "${TRAINING_ARGS[@]}"
"""

MANIFEST = """\
apiVersion: sagemaker.amazonaws.com/v1
kind: HyperPodPyTorchJob
metadata:
  name: llama3-1-8b-fsdp
spec:
  nprocPerNode: "$GPU_PER_NODE"
  replicaSpecs:
    - name: pods
      replicas: $NUM_NODES
      template:
        spec:
          nodeSelector:
            sagemaker.amazonaws.com/compute-type: ml.p5.48xlarge
          containers:
            - name: pytorch
              image: ${IMAGE_URI}
              command:
                - hyperpodrun
                - '--nproc_per_node=$GPU_PER_NODE'
                - --nnodes=$NUM_NODES
                - /fsdp/train.py
                - '--hidden_width=4096'
                - --num_layers=16
                - --num_heads=32
                - --model_type=llama_v2
                # a comment
                - '--train_batch_size=2'
                - '--s3_tier_base_path=${S3_TIER_BASE_PATH}'
                - '--in_memory_checkpointing_freq=10'
"""


def read(text: str, name: str = "model.txt") -> Reading:
    return DIALECT.read(Foreign(Path(name), text))


def config_of(layer: Layer) -> Config:
    config, findings = validate(compose([layer]))
    assert config is not None, findings
    return config


def written(reading: Reading, **changes: Any) -> Writing:
    """The reading's config, with changes, in flags again."""
    edits: dict[str, Any] = {}
    for path, value in changes.items():
        section, _, name = path.partition("__")
        edits.setdefault(section, {})[name] = value
    stack = compose([reading.layer, Layer("edits", edits)])
    config, findings = validate(stack)
    assert config is not None, findings
    return DIALECT.write(config, chosen=frozenset(stack.origins))


def text_of(writing: Writing) -> str:
    (text,) = writing.files.values()
    return text


def say(reading: Reading) -> str:
    return "\n".join(f"{each.verdict} {each.path}: {each.message}" for each in reading.remarks)


# ---------------------------------------------------------------- the parser


def upstream_parser() -> argparse.ArgumentParser:
    """argparse as the trainer sets it up, from the table of flags."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    types = {"int": int, "float": float, "str": str}
    for flag in FLAGS:
        spellings = [f"--{flag.name}", *(f"--{a}" for a, n in ALIASES.items() if n == flag.name)]
        parser.add_argument(
            *spellings,
            dest=flag.name,
            type=types[flag.kind],
            default=flag.default,
            choices=flag.choices or None,
        )
    return parser


@pytest.mark.parametrize(
    "line",
    [
        LIST.replace("\n", " ").split(" #")[0],
        "--lr=1e-4 --lr 2e-4 --max_training_steps=7",
        "--offload_activation=1 --train_split=train --val_split validation",
        "--hidden_width 64 stray --num_layers=2",
        "--learning_rate=1 --warm=0.1",
        "--min_lr=-0.5 --bf16=0",
        "--max_s=3 --val_batch=4",
    ],
)
def test_flags_are_taken_as_argparse_takes_them(line: str) -> None:
    known, _ = upstream_parser().parse_known_args(shlex.split(line))
    given = parse_words([Word(word, 1) for word in shlex.split(line)], {})
    ours = {flag.name: flag.default for flag in FLAGS}
    ours |= {name: value for name, value in given.values.items() if name in BY_NAME}
    assert ours == vars(known)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--lr=fast", "error: argument --lr: invalid float value: 'fast'"),
        ("--num_layers=1.5", "error: argument --num_layers: invalid int value: '1.5'"),
        ("--bf16", "error: argument --bf16: expected one argument"),
        ("--sharding_strategy=zero", "error: argument --sharding_strategy: invalid choice"),
        ("--model_type=bloom", "Model bloom not implemented"),
    ],
)
def test_what_the_trainer_refuses_is_said_in_its_own_words(word: str, message: str) -> None:
    reading = read(f"--hidden_width=64\n{word}\n")
    refused = [each for each in reading.remarks if each.verdict == "refused"]
    assert message in refused[0].message
    assert refused[0].line == 2
    name = word[2:].partition("=")[0]
    assert name in [each.path[0] for each in reading.residue]


def test_a_typo_is_dropped_upstream_and_kept_here() -> None:
    reading = read("--hidden_width=64\n--train_batch_sise=3\n--num_layers=2\n")
    assert "drops --train_batch_sise without a word: did you mean --train_batch_size?" in say(
        reading
    )
    assert [(each.path, each.value) for each in reading.residue if "sise" in each.path[0]] == [
        (("train_batch_sise",), "3")
    ]
    assert "--train_batch_sise=3" in text_of(written(reading))


# ---------------------------------------------------------------- a list


def test_a_list_of_flags_is_a_config() -> None:
    config = config_of(read(LIST).layer)
    assert config.model.hidden_size == 4096
    assert config.model.max_position_embeddings == config.data.max_length == 4096
    assert config.model.vocab_size == 50432
    assert not config.model.tie_word_embeddings
    assert config.training.max_steps == 100
    assert config.training.learning_rate == 1e-4
    assert config.training.gradient_checkpointing
    assert config.data.eval_batch_size == 2
    assert config.data.max_eval_examples == 20
    assert config.parallel.strategy == "fsdp"
    assert config.fsdp.offload_activations
    assert size_of(config.model).total == 6_889_410_560


def test_the_vocabulary_that_is_left_out_is_said() -> None:
    told = say(read(LIST))
    assert "the file has no --vocab_size: the trainer takes 50432" in told
    assert "the tokenizer has 32,000 tokens and vocab_size is 50,432: 151 million" in told
    assert "the trainer has no gradient accumulation" in told


def test_switches_are_numbers_and_cpu_offload_is_on_at_1_only() -> None:
    config = config_of(
        read("--hidden_width=64\n--cpu_offload=2\n--offload_activations=2\n--bf16=0\n").layer
    )
    assert not config.fsdp.cpu_offload
    assert config.fsdp.offload_activations
    assert config.training.mixed_precision == "no"


def test_dropout_flags_change_nothing_because_nobody_reads_them() -> None:
    reading = read("--hidden_width=64\n--resid_pdrop=0.1\n--seed=42\n")
    assert config_of(reading.layer).model.hidden_dropout == 0.0
    verdicts = {each.path: each.verdict for each in reading.remarks}
    assert verdicts["resid_pdrop"] == verdicts["seed"] == "ignored"


def test_an_old_name_is_understood_and_today_s_parser_drops_it() -> None:
    reading = read("--hidden_width=64\n--llama_intermediate_size=160\n--model_type=llama_v2\n")
    assert config_of(reading.layer).model.intermediate_size == 160
    assert "old name: today's parser drops it, and --intermediate_size would be 11008" in say(
        reading
    )


def test_gpt_neox_has_its_own_width_and_rotary_flags() -> None:
    text = "--hidden_width=64\n--intermediate_size=999\n--rotary_pct=0.5\n--rotary_emb_base=500\n"
    config = config_of(read(text).layer)  # gpt_neox is the trainer's default
    assert config.model.intermediate_size == 256
    assert (config.model.partial_rotary_factor, config.model.rope_theta) == (0.5, 500.0)
    assert config.model.residual_type == "parallel"
    assert config.model.hidden_act == "gelu"


def test_a_plateau_is_a_line_that_waits() -> None:
    reading = read("--hidden_width=64\n--lr_decay_style=plateau\n--plateau=0.25\n--max_steps=200\n")
    config = config_of(reading.layer)
    assert (config.training.lr_scheduler_type, config.training.lr_hold_steps) == ("linear", 50)
    assert "--plateau=0.25" in text_of(written(reading))


def test_the_flags_of_several_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="flags of 2 models") as caught:
        read("--hidden_width=64\n--num_layers=1\n--hidden_width=128\n", "page.md")
    assert caught.value.where == "page.md:3"


def test_a_flag_that_stands_twice_counts_once_and_none_is_lost() -> None:
    reading = read("--hidden_width=64\n--lr=1e-3\n--lr=1e-4\n")
    assert config_of(reading.layer).training.learning_rate == 1e-4
    assert "in line 2 and in line 3: the last one counts" in say(reading)
    assert text_of(written(reading)).count("--lr=") == 2


# ---------------------------------------------------------------- a script


def test_a_script_is_read_and_put_back_whole() -> None:
    reading = read(SCRIPT, "job.sbatch")
    config = config_of(reading.layer)
    assert (config.parallel.num_nodes, config.parallel.devices_per_node) == (4, 8)
    assert config.training.max_steps == 500
    assert config.fsdp.offload_activations
    assert config.model.rope_scaling.type == "dynamic"
    told = say(reading)
    assert "a backslash stands in front of a comment" in told
    assert "--offload_activation is short for --offload_activations" in told
    assert reading.layer.marks["training", "max_steps"].line == 21
    text = text_of(written(reading))
    assert text.startswith("#!/bin/bash\n#SBATCH --nodes=4")
    assert "--rdzv_endpoint=$(hostname)" in text
    assert read(text, "job.sbatch").layer.tree == reading.layer.tree


def test_a_changed_plan_changes_the_script_where_it_says_so() -> None:
    writing = written(
        read(SCRIPT, "job.sbatch"),
        parallel__num_nodes=2,
        parallel__devices_per_node=4,
        training__max_steps=900,
    )
    text = text_of(writing)
    assert "#SBATCH --nodes=2 # number of nodes to use" in text
    assert "GPUS_PER_NODE=4 #" in text
    assert "--max_steps=900" in text
    assert writing.lost == ()
    assert writing.command == "sbatch job.sbatch"


# ---------------------------------------------------------------- a manifest


def test_a_manifest_keeps_its_placeholders() -> None:
    reading = read(MANIFEST, "job.yaml")
    config = config_of(reading.layer)
    assert config.run.hardware == "p5.48xlarge"
    assert (config.parallel.num_nodes, config.parallel.devices_per_node) == (1, 8)
    assert config.training.batch_size == 2
    assert config.checkpointing.memory_tier.enabled
    told = say(reading)
    assert "$NUM_NODES is filled in when the file is used: 1 assumed for parallel.num_nodes" in told
    assert "the name 'llama3-1-8b-fsdp' says 8B, and these flags give" in told
    writing = written(reading)
    assert writing.lost == ()
    tree = yaml.safe_load(text_of(writing))
    before = yaml.safe_load(MANIFEST)
    command = tree["spec"]["replicaSpecs"][0]["template"]["spec"]["containers"][0].pop("command")
    flags = before["spec"]["replicaSpecs"][0]["template"]["spec"]["containers"][0].pop("command")
    assert command == flags
    assert tree == before


def test_marks_of_a_shell_in_a_manifest_are_refused_once_and_left_out() -> None:
    marked = yaml.safe_load(MANIFEST)
    found = [*_lists(marked)]
    (words,) = [
        each for each in found if any(str(word).startswith("--hidden_width") for word in each)
    ]
    clean = [word for word in words if str(word).startswith("--")]
    for index, word in enumerate(words):
        name, equals, value = str(word).partition("=")
        if name.startswith("--") and equals and "nproc" not in name and "nnodes" not in name:
            words[index] = f'{name}="{value}" \\'
    reading = read(yaml.safe_dump(marked), "job.yaml")
    plain = read(MANIFEST, "job.yaml")
    ours = {key: value for key, value in reading.layer.tree.items() if key != "imported"}
    assert ours == {key: value for key, value in plain.layer.tree.items() if key != "imported"}
    (told,) = [each.message for each in reading.remarks if each.verdict == "refused"]
    assert "no shell reads the words" in told
    back = text_of(written(reading))
    assert all(str(word) in back for word in clean)
    assert "\\" not in back


def _lists(tree: Any) -> Iterator[list[Any]]:
    if isinstance(tree, list):
        yield tree
    for inner in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(inner, dict | list):
            yield from _lists(inner)


def test_machines_of_a_plan_are_put_into_the_manifest() -> None:
    writing = written(
        read(MANIFEST, "job.yaml"),
        parallel__num_nodes=4,
        parallel__devices_per_node=1,
        run__hardware="g5.8xlarge",
    )
    tree = yaml.safe_load(text_of(writing))
    assert tree["spec"]["nprocPerNode"] == "1"
    assert tree["spec"]["replicaSpecs"][0]["replicas"] == 4
    assert "ml.g5.8xlarge" in text_of(writing)
    again = config_of(read(text_of(writing), "job.yaml").layer)
    assert (again.parallel.num_nodes, again.run.hardware) == (4, "g5.8xlarge")


def test_a_command_line_inside_a_manifest_is_found() -> None:
    text = """\
kind: Job
spec:
  template:
    spec:
      containers:
        - name: t
          args: ["bash", "-c", "torchrun --nnodes=2 --nproc_per_node=4 train.py \
--hidden_width=64 --num_layers=2 --max_steps=5"]
"""
    reading = read(text, "job.yaml")
    config = config_of(reading.layer)
    assert (config.parallel.num_nodes, config.parallel.devices_per_node) == (2, 4)
    again = read(text_of(written(reading, training__max_steps=6)), "job.yaml")
    assert config_of(again.layer).training.max_steps == 6


def test_a_number_of_machines_beyond_all_bounds_is_none() -> None:
    reading = read(MANIFEST.replace("replicas: $NUM_NODES", f"replicas: {'9' * 5000}"), "job.yaml")
    assert config_of(reading.layer).parallel.num_nodes == 1


def test_masters_and_workers_are_counted_together() -> None:
    spec = """\
kind: PyTorchJob
spec:
  pytorchReplicaSpecs:
    Master: {replicas: 1, template: {}}
    Worker:
      replicas: 3
      template:
        spec:
          containers:
            - command: [torchrun, train.py, --hidden_width=64, --num_layers=1]
              resources: {limits: {nvidia.com/gpu: 8}}
"""
    reading = read(spec, "job.yaml")
    config = config_of(reading.layer)
    assert (config.parallel.num_nodes, config.parallel.devices_per_node) == (4, 8)
    tree = yaml.safe_load(text_of(written(reading, parallel__num_nodes=6)))
    specs = tree["spec"]["pytorchReplicaSpecs"]
    assert (specs["Master"]["replicas"], specs["Worker"]["replicas"]) == (1, 5)


def test_a_manifest_among_others_is_found_and_they_go_back() -> None:
    text = f"kind: Namespace\n# mine\n---\n{MANIFEST}---\nkind: {{{{ A }}}}\n"
    reading = read(text, "job.yaml")
    assert config_of(reading.layer).training.batch_size == 2
    line = reading.layer.marks["training", "batch_size"].line
    assert "--train_batch_size=2" in text.splitlines()[line - 1]
    back = text_of(written(reading))
    assert back.startswith("kind: Namespace\n# mine\n---\napiVersion: sagemaker")
    assert back.endswith("---\nkind: {{ A }}\n")
    assert read(back, "job.yaml").layer.tree == reading.layer.tree


def test_keys_of_any_manifest_are_kept() -> None:
    text = "services:\n  a:\n    command: [train.py, --hidden_width=64, --num_layers=1]\nx: 1\n"
    reading = read(text, "compose.yaml")
    assert yaml.safe_load(text_of(written(reading))) == yaml.safe_load(text)


# ---------------------------------------------------------------- writing


def test_a_plan_of_ours_becomes_all_three_forms() -> None:
    tree: dict[str, Any] = {
        "model": {
            "hidden_size": 128,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "tie_word_embeddings": False,
        },
        "training": {"gradient_accumulation_steps": 4, "batch_size": 3, "optimizer": "lion"},
        "parallel": {"num_nodes": 2, "devices_per_node": 8, "strategy": "fsdp"},
        "run": {"name": "my run", "hardware": "p5.48xlarge"},
    }
    stack = compose([Layer("mine", tree)])
    config, _ = validate(stack)
    assert config is not None
    writing = DIALECT.write(config, chosen=frozenset(stack.origins))
    assert list(writing.files) == ["my-run.txt", "my-run-training.sbatch", "my-run-fsdp.yaml"]
    lost = {each.path: each.reason for each in writing.lost}
    assert "no accumulation" in lost["training.gradient_accumulation_steps"]
    assert lost["training.optimizer"] == "the trainer always uses AdamW"
    script = writing.files["my-run-training.sbatch"]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=20)
    for name, text in writing.files.items():
        again = config_of(read(text, name).layer)
        assert again.model.hidden_size == 128
        assert again.training.batch_size == 3
        if not name.endswith(".txt"):
            assert (again.parallel.num_nodes, again.parallel.devices_per_node) == (2, 8)


@pytest.mark.parametrize("value", ["it's", "a b", "$(reboot)", "`x`", "; rm x", 'q"q', "\\", "#x"])
def test_an_odd_value_cannot_leave_its_word(value: str) -> None:
    reading = read("--hidden_width=64\n--num_layers=1\n")
    text = text_of(written(reading, data__dataset_name=value))
    assert f"--dataset={value}" in shlex.split(text)
    assert config_of(read(text).layer).data.dataset_name == value or "$" in value or "`" in value


def test_every_chosen_key_is_said_or_lost() -> None:
    reading = read(LIST)
    edits = {"training": {"momentum": 0.5, "max_steps": 7}, "logging": {"level": "debug"}}
    stack = compose([reading.layer, Layer("edits", edits)])
    config, _ = validate(stack)
    assert config is not None
    writing = DIALECT.write(config, chosen=frozenset(stack.origins))
    assert {each.path for each in writing.lost} == {"training.momentum", "logging.level"}


# ---------------------------------------------------------------- broken and real files


@pytest.mark.parametrize(
    ("text", "name", "what"),
    [
        ("hello\n", "a.txt", "no flags"),
        ("{{ MODEL_PARAMETERS }}\n", "a.template", "no flags"),
        ("--hidden_width='64\n--num_layers=1\n", "a.txt", "never closed"),
        ("kind: Job\nspec: {}\n", "a.yaml", "no flags"),
        ("kind: [\n--hidden_width=1", "a.yaml", "YAML"),
    ],
)
def test_a_broken_file_is_one_message(text: str, name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        read(text, name)


SIZES = {
    "llama2_7b": 6.889,
    "llama2_13b": 13.205,
    "llama2_70b": 69.279,
    "llama3_1_8b": 7.393,
    "llama3_1_70b": 69.279,
    "llama3_2_1b": 1.155,
    "mathstral_7b": 7.248,
}


@needs_files
@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_real_file_has_its_size_and_goes_back_as_it_was(path: Path) -> None:
    reading = DIALECT.read(Foreign(path, path.read_text()))
    config = config_of(reading.layer)
    name = path.name.split("-")[0].removesuffix(".txt")
    if name in SIZES:
        assert round(size_of(config.model).total / 1e9, 3) == SIZES[name]
    stack = compose([reading.layer])
    writing = DIALECT.write(config, chosen=frozenset(stack.origins))
    assert writing.lost == ()
    ((again, text),) = writing.files.items()
    assert again == path.name
    assert DIALECT.read(Foreign(path, text)).layer.tree == reading.layer.tree


@needs_files
@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_real_file_is_recognised(path: Path) -> None:
    found = DIALECT.recognise(Foreign(path, path.read_text()))
    assert found is not None
    assert found.score > 0.9


def test_every_flag_with_a_target_names_a_key() -> None:
    config, _ = validate(compose([Layer("none", {})]))
    assert config is not None
    for flag in FLAGS:
        if flag.target is not None:
            value_at(config, flag.target)
