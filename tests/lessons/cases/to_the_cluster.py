BIG = """%%config big.yaml lesson
parallel:
  strategy: ddp
  num_nodes: 4
  devices_per_node: 8
training:
  batch_size: 8
  gradient_accumulation_steps: 1
  max_steps: 30
"""
SOLUTION = {
    "big": BIG,
    "your-export": (
        'big_job = learn.folder / "big-job"\n'
        "learn.shell(f\"ava export slurm lesson {learn.folder / 'big.yaml'} -o {big_job} --force\")"
    ),
    "your-rehearsal": (
        'learn.launch("rehearsal", str(job / "config.yaml"), num_nodes=1, devices_per_node=1, '
        "gradient_accumulation_steps=4)"
    ),
    "your-nodes": "cheapest = 1\nfastest = 8",
    "your-devices": 'answer_devices = "b"',
}
