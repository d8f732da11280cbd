"""Whatever producers send, a terminal shows it and executes none of it."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from aftercall.printable import printable, printable_json
from flows.reports.terminal import SafeConsole

ESC, C1, TURN = "\x1b]0;owned\x07", "\x9b31m", "\u202egpt"
texts = st.text() | st.sampled_from([ESC, C1, TURN, "a\nb", "\x7f", "\ud800", "\U000e0041", "ü", "😀"])


def executes(text: str) -> bool:
    """Whether a character is a control or turns the writing; line ends aside."""
    return any(char != "\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs"} for char in text)


@given(texts)
def test_no_text_keeps_a_code_that_a_terminal_executes(text: str) -> None:
    assert not executes(printable(text))
    assert "\n" not in printable(text)
    assert printable(text) == text or not text.isprintable()


@given(st.dictionaries(texts, texts))
def test_a_json_document_means_the_same(document: dict[str, str]) -> None:
    text = printable_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert not executes(text)
    assert json.loads(text) == document


@pytest.mark.parametrize("text", [ESC, C1, TURN])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_console_keeps_its_own_styles_and_no_code_of_a_record(text: str, terminal: bool) -> None:  # noqa: FBT001 - a case
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=terminal, color_system="standard" if terminal else None, width=80)
    table = Table(title=text)
    table.add_column(text)
    table.add_row(f"[bold]{text}[/bold]")
    console.print(table)
    console.print(text, markup=False, soft_wrap=True)
    console.print("[bold]ours[/bold]")
    printed = out.getvalue()
    assert ("\x1b[1mours\x1b[0m" in printed) == terminal
    assert text not in printed
    assert not executes(printed.replace("\x1b[", ""))
