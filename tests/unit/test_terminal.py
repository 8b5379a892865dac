"""Titles are data: a terminal shows them and obeys nothing in them."""

import pytest

from mfcore.terminal import print_table


@pytest.mark.parametrize("title", ["Film [/b]", "[rec] 2", "[bold]Heat[/bold]", "[link=x]Heat", r"a\[b]"])
def test_markup_is_shown_as_it_stands(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"Like {title}", [{"title": title, "score": 1.5}])
    assert capsys.readouterr().out.count(title) == 2


@pytest.mark.parametrize("code", ["\x1b[31m", "\x1b]0;name\x07", "\x9b2J", "\r", "\b", "\x7f"])
def test_control_codes_do_not_reach_the_terminal(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(f"Like Heat{code}", [{"title": f"Heat{code}", "score": 1.5}])
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\x9b\r\b\x7f")
    assert out.count(rf"Heat\x{ord(code[0]):02x}") == 2
