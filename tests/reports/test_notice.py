"""What people are told of a run that has ended."""

from __future__ import annotations

import pytest

from runner.errors import ExitCode
from runner.model.evaluation import Evaluation, Verdict
from runner.model.notice import OCCASIONS, is_due
from runner.reports.notice import Ending, letter_of


def judged(verdict: str, sentence: str = "Why.") -> Evaluation:
    return Evaluation(
        run_id="r",
        experiment="x",
        verdict=Verdict(verdict),
        valid=True,
        sentence=sentence,
        findings=(),
    )


@pytest.mark.parametrize(
    ("code", "due"),
    [
        (ExitCode.PASS, "always"),
        (ExitCode.FAIL, "fail not-pass always"),
        (ExitCode.INCONCLUSIVE, "not-pass always"),
        (ExitCode.ABORTED, "fail not-pass always"),
        (ExitCode.LEFT_BROKEN, "fail not-pass always"),
        (ExitCode.INTERRUPTED, "not-pass always"),
        (ExitCode.BUG, "not-pass always"),
    ],
)
def test_the_occasions(code: ExitCode, due: str) -> None:
    assert [on for on in OCCASIONS if is_due(on, code)] == due.split()


@pytest.mark.parametrize(
    ("code", "verdict", "title", "kind"),
    [
        (0, "pass", "✓ Pass: shop", "success"),
        (0, "warn", "! Pass with warnings: shop", "warning"),
        (1, "fail", "✗ Fail: shop", "failure"),
        (3, "inconclusive", "? Inconclusive: shop", "warning"),
        (3, None, "? No verdict: shop", "warning"),
        (4, "inconclusive", "■ Aborted: shop", "failure"),
        (5, "pass", "‼ Something may be left broken: shop", "failure"),
        (130, "inconclusive", "■ Interrupted: shop", "warning"),
        (70, None, "✗ Broke off by a bug of seatrial: shop", "failure"),
    ],
)
def test_the_title_says_how_it_ended(code: int, verdict: str | None, title: str, kind: str) -> None:
    evaluation = None if verdict is None else judged(verdict)
    letter = letter_of(Ending("shop", "r", ExitCode(code), evaluation))
    assert (letter.title, letter.kind) == (title, kind)


def test_what_must_be_done_stands_first() -> None:
    letter = letter_of(
        Ending(
            experiment="shop",
            run_id="2026-x",
            code=ExitCode.LEFT_BROKEN,
            evaluation=judged("fail", "FAIL: 1 of 2 objectives was missed."),
            problem="the child died",
            left=("01-rare", "02-half"),
            heal="seatrial heal 2026-x --target staging",
            report="results/shop/2026-x/report/index.html",
            job="https://ci.example/1",
        )
    )
    assert letter.text.splitlines() == [
        "SOMETHING MAY BE LEFT BROKEN: 01-rare, 02-half",
        "To finish the work: seatrial heal 2026-x --target staging",
        "FAIL: 1 of 2 objectives was missed.",
        "the child died",
        "Run: 2026-x",
        "Report: results/shop/2026-x/report/index.html",
        "CI job: https://ci.example/1",
    ]


def test_names_call_nobody_and_break_no_line() -> None:
    """Goal: no channel is alarmed by an endpoint. Method: words that call on Slack and others."""
    evil = "errors of @everyone <!channel> <@U1> </b>\n\x1b[31m < 5 %"
    letter = letter_of(Ending(evil, "r", ExitCode.FAIL, judged("fail", evil)))
    for text in (letter.title, letter.text.splitlines()[0]):
        assert text.endswith(
            "errors of @\u2060everyone <\u2060!channel> <\u2060@\u2060U1> </b> \ufffd[31m < 5 %"
        )
