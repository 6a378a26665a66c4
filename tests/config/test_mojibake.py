"""Garbled text is found and restored; honest text in any language is left alone."""

# ruff: noqa: RUF001  confusable characters are what this is about

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.config.mojibake import find, lost_lines, repair
from workbench.config.reading import read_document, read_yaml
from workbench.config.repairs import repair as repair_text

HONEST = [
    "l’été, l’école — d’être «CAFÉ»… “École” à l’État",
    "√π ≈ 1.77, √∞, ¬π",
    "Straße „Spaß“",
    "naïve Ångström µm ±5 °C ½ × 10",
    "Привет, мир",
    "日本語テスト、中文",
    "Ελληνικά αβγ",
    "«NÃO» à « voilà » SÃO PAULO",
    "ÀÉ ÖÄ ÊTRE Âge Ñandú ESPAÑA»",
    "emoji 🚀 ✓ → ≤ ├──",
    "İstanbul ığüşç",
    "Đặng Văn Nguyễn",
    "Łódź “ąę”",
    "fœtus œuvre ŒUVRE",
    "é»… x",
    "한국어",
]


def misread(text: str, codec: str) -> str:
    """What an editor shows when it takes UTF-8 for another encoding."""
    return "".join(bytes([b]).decode(codec, "ignore") or chr(b) for b in text.encode())


@pytest.mark.parametrize("text", HONEST)
def test_honest_text_is_left_alone(text: str) -> None:
    assert find(text) == []
    assert repair(text) is None
    assert lost_lines(text) == []


@pytest.mark.parametrize("codec", ["mac_roman", "cp1252", "latin-1"])
@pytest.mark.parametrize("text", HONEST)
def test_text_read_in_the_wrong_encoding_is_restored(text: str, codec: str) -> None:
    assert repair(misread(text, codec)) == text


@pytest.mark.parametrize(
    ("seen", "meant"),
    [
        ("a â€” b", "a — b"),
        ("cafÃ©", "café"),
        ("a ‚Äî b", "a — b"),
        ("‚úÖ done", "✅ done"),
        ("caf√©", "café"),
        ("10 Â°C", "10 °C"),
        ("â€œquotedâ€\x9d", "“quoted”"),
        ("Ã¢â‚¬â€\x9d twice", "— twice"),
        ("ï»¿a: 1", "\ufeffa: 1"),
        ("‚îú‚îÄ‚îÄ", "├──"),
        ("ðŸš€", "🚀"),
        ("honest é beside â€”", "honest é beside —"),
    ],
)
def test_known_examples(seen: str, meant: str) -> None:
    assert repair(seen) == meant


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(st.characters(codec="ascii")))
def test_ascii_is_never_garbled(text: str) -> None:
    assert repair(text) is None


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(), st.sampled_from(["mac_roman", "cp1252", "latin-1"]))
def test_a_repair_never_fails_and_settles(text: str, codec: str) -> None:
    surrogates = any(0xD800 <= ord(char) < 0xE000 for char in text)
    garbled = text if surrogates else misread(text, codec)
    repaired = repair(garbled)
    assert repaired is None or repaired != garbled


def test_garbled_text_is_one_warning_with_its_lines() -> None:
    text = "a: 1  # fine\nb: x  # 10 Â°C\nc: caf\u00c3\u00a9\n"
    (note,) = read_yaml(text, "f.yaml").notes
    assert (note.rule, note.severity) == ("mojibake", "warning")
    assert note.origin is not None
    assert note.origin.place() == "f.yaml:2"
    assert "'Â°' stands for '°'" in note.message
    assert "lines 2, 3" in note.message
    repaired = repair_text(text, "f.yaml")
    assert repaired is not None
    assert repaired.text == "a: 1  # fine\nb: x  # 10 °C\nc: café\n"
    assert repaired.changes == ("garbled characters restored",)


def test_garbled_json_is_noted_too() -> None:
    (note,) = read_document('{\n "a": "caf√©"}', "f.json").notes
    assert note.rule == "mojibake"
    assert note.origin is not None
    assert note.origin.place() == "f.json:2"


@pytest.mark.parametrize("lost", ["\ufffd", "ï¿½", "ÔøΩ"])
def test_lost_characters_are_reported_and_not_invented(lost: str) -> None:
    text = f"a: 1\nb: 2  # {lost}\n"
    (note,) = read_yaml(text, "f.yaml").notes
    assert (note.rule, note.severity) == ("lost-characters", "warning")
    assert "line 2" in note.message
    assert repair_text(text, "f.yaml") is None
