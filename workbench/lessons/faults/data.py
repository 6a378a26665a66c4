"""Text that is not what it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from workbench.lessons.faults import runs as lab
from workbench.lessons.faults.registry import fault

if TYPE_CHECKING:
    from workbench.lessons.faults.stage import Stage

_STEPS: Final = 8
_SHORT: Final = f"--max_steps {_STEPS} --warmup_steps 0 --max_eval_examples 4"
_RECORDS: Final = 1000
_CUT: Final = 30  # 3 of 100; the trainer bears 1


@fault(
    "bad-data-lines",
    "Lines of the data are broken",
    what_happens="30 of 1,000 JSON lines are cut off, as by a download that was resumed badly.",
    see="refused, with the count, and the file and line of the first",
    recover="repair the source; a few bad lines, up to 1 in 100, are left out and counted",
    starts=2,
)
def bad_data_lines(stage: Stage) -> None:
    """Train on a file with too many bad lines, then on one with a few."""
    stage.breaks(f"A file of {_RECORDS:,} records, {_CUT} of them cut in the middle.")
    lines = [json.dumps({"text": _story(number)}) for number in range(_RECORDS)]
    every = _RECORDS // _CUT
    cut = set(range(6, _CUT * every, every))
    broken = [line[:40] if place in cut else line for place, line in enumerate(lines)]
    bad = sorted(place + 1 for place in cut)
    stage.writes("stories.jsonl", "\n".join(broken) + "\n")
    stage.ran("sed -n 6,7p stories.jsonl", "\n".join(broken[5:7]))
    stage.sees("")
    printed = stage.ava(
        f"train lesson --name stories --data.path stories.jsonl {_SHORT}", code=2, show="^error|^  "
    )
    stage.expects("it does not train on it", not lab.losses(stage.run("stories")))
    stage.expects(
        "it says how many, and where the first is",
        f"{len(bad)} bad of {_RECORDS:,}" in printed and f"stories.jsonl:{bad[0]}" in printed,
        f"stories.jsonl:{bad[0]}",
    )
    stage.because(
        "A few bad lines are in any large file, and no reason to stop. More than one in a hundred "
        "is no accident of the data: something is wrong with how it came here, and a training on "
        "the rest would hide that."
    )
    stage.repairs("Fetch the lines again. Five are still bad, which is 0.5 %.")
    kept = [broken[place] if place + 1 in bad[:5] else line for place, line in enumerate(lines)]
    stage.writes("mended.jsonl", "\n".join(kept) + "\n")
    printed = stage.ava(
        f"train lesson --name mended --data.path mended.jsonl {_SHORT}",
        show="^data|skipped|left out|bad|mended|^finished",
    )
    stage.proves("")
    stage.expects("it trains", len(lab.losses(stage.run("mended"))) == _STEPS)
    told = printed + stage.run("mended").log_path.read_text()
    stage.expects(
        "and says what it left out", f"mended.jsonl:{bad[0]}" in told, f"mended.jsonl:{bad[0]}"
    )


@fault(
    "wrong-encoding",
    "The text is in another encoding",
    what_happens="A file in Latin-1, where every accent is a byte that UTF-8 does not know.",
    see="refused, with the place of the first such byte, and the command that converts it",
    recover="convert it once; never let a reader guess or leave bytes out",
    starts=2,
)
def wrong_encoding(stage: Stage) -> None:
    """Refuse Latin-1, convert it, and train."""
    text = "".join(f"{number}. Le café est fermé, à bientôt.\n" for number in range(1, 400))
    stage.breaks("A French text as older programs save it.")
    stage.writes("cafe.txt", text.encode("latin-1"))
    stage.ran("head -c 20 cafe.txt | xxd -p", text[:20].encode("latin-1").hex())
    stage.sees("")
    printed = stage.ava(
        f"train lesson --name cafe --data.path cafe.txt {_SHORT}", code=2, show="^error|^  "
    )
    stage.expects("the file is named", "cafe.txt" in printed)
    stage.expects("and the way to repair it", "iconv" in printed)
    stage.because(
        "é is one byte in Latin-1 (e9) and two in UTF-8 (c3 a9). A reader that guesses gets it "
        "right until it does not: then the model learns CafÃ©, and nothing ever complains."
    )
    stage.repairs("Convert it, and look at the result.")
    stage.writes("utf8.txt", text)
    stage.ran("iconv -f LATIN1 -t UTF-8 cafe.txt > utf8.txt; head -1 utf8.txt", text.split("\n")[0])
    stage.ava(f"train lesson --name utf8 --data.path utf8.txt {_SHORT}", show="^data|^finished")
    stage.proves("")
    stage.expects("it trains", len(lab.losses(stage.run("utf8"))) == _STEPS)
    stage.expects(
        "no character was lost or changed",
        (stage.folder / "utf8.txt").read_bytes().decode() == text,
        f"{len(text):,} characters",
    )


def _story(number: int) -> str:
    return f"Story {number}: on day {number % 30 + 1} the model read a page, and was glad of it."
