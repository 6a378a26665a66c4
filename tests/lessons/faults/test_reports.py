"""The list, the reports in their forms, and the command."""

from __future__ import annotations

import json
import math
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import ROOT, Ava
from workbench.errors import UsageError
from workbench.lessons import faults
from workbench.lessons.faults.excerpts import excerpt
from workbench.lessons.faults.listing import markdown
from workbench.lessons.faults.report import Curve, Report, Step


def report(*steps: Step) -> Report:
    return Report(faults.find("silent-typo"), Path("scratch"), steps, 1.5)


PROOF = Step("proof", "claim", "it holds", holds=True, found="1 = 1")


def test_the_list_is_worth_it() -> None:
    known = faults.all()
    assert len(known) >= 18
    assert len({fault.id for fault in known}) == len(known)
    for fault in known:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", fault.id)
        assert len(fault.what_happens) <= 90
        assert fault.see
        assert fault.recover
        assert fault.seconds <= 60


def test_the_table_in_the_course_is_true() -> None:
    """Written by: python -m workbench.lessons.faults.listing > lessons/FAULTS.md."""
    assert (ROOT / "lessons" / "FAULTS.md").read_text() == markdown()


def test_an_unknown_fault_has_a_neighbour() -> None:
    with pytest.raises(UsageError) as caught:
        faults.find("flipped-bits")
    assert caught.value.fix == "ava break flipped-bit"


def test_nothing_of_others_is_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something"):
        faults.produce("silent-typo", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_fault_may_be_produced_again(tmp_path: Path) -> None:
    place = tmp_path / "flipped-bit"
    assert faults.fresh(place) == place
    place.mkdir()
    assert faults.fresh(place) == place, "it is empty"
    (place / "runs").mkdir()
    assert faults.fresh(place) == tmp_path / "flipped-bit-2"


def test_only_a_proof_verifies() -> None:
    seen = Step("see", "claim", "it is seen", holds=True)
    assert report(seen, PROOF).verified
    assert not report(seen).verified
    assert not report(seen, PROOF, Step("proof", "claim", "not this", holds=False)).verified
    assert "1 of 2 checks do not hold" in str(report(PROOF, Step("see", "claim", holds=False)))


def test_text_fits_eighty_columns_and_loses_nothing() -> None:
    command = "ava train lesson --name x " + " ".join(f"--key_{n} {n}" for n in range(20))
    long = "error: " + "word " * 40
    text = str(report(Step("break", "ran", command=command, output=long, exit_code=2), PROOF))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("word") == 40
    typed = text[text.index("$ ") + 2 : text.index("│")].replace("\\\n", " ")
    assert typed.split() == command.split(), "it can be copied into a shell"
    assert all(re.search(r"--key_\d+ \d+", line) for line in typed.splitlines() if "--key" in line)
    assert "exit code 2" in text


def test_a_curve_with_gaps_in_both_forms() -> None:
    values = (3.0, 2.0, math.nan, 1.0, 0.5)
    step = Step("see", "curve", "loss", curves=(Curve("a <b>", (1, 2, 3, 4, 5), values),) * 2)
    made = report(step, PROOF)
    assert "loss" in str(made)
    picture = re.search(r"<svg.*</svg>", made.html())
    assert picture
    assert len(ET.fromstring(picture[0]).findall("polyline")) == 4  # noqa: S314 - our own
    nothing = Step("see", "curve", "loss", curves=(Curve("a", (1,), (math.nan,)),))
    assert "no finite value" in report(nothing).html()


def test_html_is_safe_and_needs_nothing() -> None:
    nasty = '<script>alert("x")</script>'
    steps = [
        Step("break", "says", nasty),
        Step("break", "ran", command=nasty, output=nasty, exit_code=1),
        Step("see", "curve", nasty, curves=(Curve(nasty, (1, 2), (1, 2)),)),
        Step("proof", "claim", nasty, holds=False, found=nasty),
    ]
    html = report(*steps).html()
    assert "<script" not in html
    assert "http" not in html
    ET.fromstring(html)  # noqa: S314 - our own
    shown = report(*steps)._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html"}


def test_excerpts() -> None:
    text = "\n".join(str(number) for number in range(30))
    assert excerpt(text, (2, 1)) == "0\n1\n…\n29"
    assert excerpt("a\nb\nc", (1, 1)) == "a\nb\nc", "a gap of one line is no gap"
    assert excerpt("a\nerror: x\n  why\nb", "^error|^  ") == "…\nerror: x\n  why\n…"
    assert excerpt("", (1, 1)) == ""


def test_the_list_on_the_command_line(ava: Ava) -> None:
    shown = ava("break")
    assert shown.returncode == 0
    assert all(fault.id in shown.stdout for fault in faults.all())
    listed = json.loads(ava("break", "--json").stdout)
    assert [item["id"] for item in listed] == [fault.id for fault in faults.all()]


def test_a_fault_on_the_command_line(ava: Ava, tmp_path: Path) -> None:
    done = ava("break", "silent-typo", "-o", "here", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["verified"] is True
    assert "What you see" in done.stderr
    assert (tmp_path / "here" / "ds.json").exists(), "kept, because it was named"
    again = ava("break", "silent-typo", "-o", "here")
    assert again.returncode == 2
    assert "holds something" in again.stderr


@pytest.mark.parametrize("arguments", [("--keep",), ("nothing",), ("silent-typo", "--what")])
def test_wrong_usage(ava: Ava, arguments: tuple[str, ...]) -> None:
    done: subprocess.CompletedProcess[str] = ava("break", *arguments)
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1


def test_the_scratch_folder_goes_unless_kept(
    ava: Ava, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    assert ava("break", "silent-typo").returncode == 0
    assert not list(temporary.iterdir())
    kept = ava("break", "silent-typo", "--keep")
    place = Path(kept.stdout.strip().splitlines()[-1].removeprefix("kept in "))
    assert place.parent == temporary
    assert (place / "ds.json").exists()
