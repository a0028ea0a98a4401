"""How the objectives added up, in words. Pure; no markup."""

from __future__ import annotations

from runner.model.evaluation import ScoreFigures
from runner.model.shape import Model
from runner.reports import format as fmt
from runner.reports.rows import Number, number


class ScoreStory(Model):
    """The score of a run."""

    share: Number
    reached: str
    possible: str
    sentence: str


def score_story(figures: ScoreFigures) -> ScoreStory:
    """``figures`` as people read them."""
    share = number(figures.share_ratio, "ratio")
    reached, possible = f"{figures.reached:g}", f"{figures.possible:g}"
    return ScoreStory(
        share=share,
        reached=reached,
        possible=possible,
        sentence=(
            f"Score: {share.text} ({reached} of {possible} points). A pass needs "
            f"{fmt.percent(figures.pass_ratio)}, a warning {fmt.percent(figures.warn_ratio)}; a "
            "warning counts half, and a key objective that is missed fails the run."
        ),
    )
