SOLUTION = {
    "your-resume": (
        'learn.shell("ava runs resume by-hand")\nlearn.shell("ava runs watch by-hand")'
    ),
    "your-step": "went_on_from = 40",
    "your-proof": 'answer_proof = "b"',
}
