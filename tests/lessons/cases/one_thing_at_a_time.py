SOLUTION = {
    "your-runs": (
        'learn.launch("study-rate", config="study-1.yaml", learning_rate=0.004)\n'
        'learn.launch("study-width", config="study-1.yaml", hidden_size=32)'
    ),
    "your-width": 'answer_width = "b"',
    "version-3": """%%config study-3.yaml lesson
extends: [study-1.yaml]
run:
  description: "a shorter warm-up, I expect no difference"
training:
  learning_rate: 0.004
  warmup_steps: 5
""",
    "your-launch-3": 'learn.launch("study-3", config="study-3.yaml")',
    "your-small": 'answer_small = "b"',
}
