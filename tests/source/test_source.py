"""Experiment files: every mistake at its place, all at once, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import InvalidFileError, SeatrialError, UsageError
from runner.source import find_experiment, load_config, load_experiment, plan_of

GOOD = """\
name: good
description: A question.
load:
  locustfile: shop.py
  stages: [{duration: 2m, users: 100, spawn_rate: 10}]
warmup: 10s
faults:
  - {kind: http-abort, service: payment-api, at: 30s, duration: 30s, status: 503, percent: 50}
objectives:
  - latency.p95 < 500ms
  - {objective: errors < 1%, during: [baseline, recovery]}
guards:
  - {abort_when: errors > 60%, for: 30s}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "locustfiles").mkdir()
    (tmp_path / "locustfiles" / "shop.py").touch()
    (tmp_path / "experiments").mkdir()
    return tmp_path / "experiments"


def write(folder: Path, text: str, name: str = "good") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InvalidFileError) as caught:
        load_experiment(path)
    return caught.value.message


def test_a_good_file_is_an_experiment(folder: Path) -> None:
    source = load_experiment(write(folder, GOOD))
    assert source.experiment.faults[0].at == 30
    assert source.experiment.objectives[1].during == ("baseline", "recovery")
    assert source.locustfile == (folder.parent / "locustfiles" / "shop.py").resolve()
    assert source.text == GOOD


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("users: 100", "usres: 100", "5:27", "did you mean 'users'? accepted: duration, users"),
        ("users: 100", 'users: "100"', "5:34", "accepted: a whole number without quotes"),
        ("duration: 2m", "duration: 120", "5:23", "120 has no unit"),
        ("http-abort", "http-abrot", "8:12", "did you mean 'http-abort'? accepted: pod-kill"),
        ("percent: 50", "percent: 500", "8:92", "500 is not a percentage"),
        ("status: 503, ", "", "8:5", "faults[0] lacks the key 'status'"),
        ("payment-api", "Payment", "8:33", "'Payment' is not a name"),
        ("latency.p95 < 500ms", "latency.p95 < 500", "10:5", "the bound '500' of latency"),
        ("[baseline, ", "[baselin, ", "11:39", "did you mean 'baseline'?"),
        ("name: good", "name: other", "1:7", "is not the file's; accepted: 'good'"),
        ("shop.py", "shpo.py", "4:15", "did you mean 'shop.py'?"),
        ("at: 30s", "at: 3h", "8:50", "the load ends at 120s"),
        ("shop.py", "a" * 300 + ".py", "4:15", "there is no Locust file 'aaa"),
        ("name: good", "name: latest", "1:7", "is how the newest run is called"),
        ("2m", "9" * 400 + "s", "5:23", "is too long for a duration"),
        ("spawn_rate: 10", "spawn_rate: .inf", "5:51", "finite number"),
        ("spawn_rate: 10", "spawn_rate: 0.5", "5:51", "take 200s, but the stage lasts 120s"),
        ("users: 100", "users: 0", "5:11", "no stage has a user"),
        ("duration: 30s", "duration: 89.5s", "8:65", "from 119.5s to 120s, is too short"),
        (
            "during: [baseline, recovery]",
            "during: 3",
            "11:38",
            "3 is not right here; accepted: a list",
        ),
        ("spawn_rate: 10", "spawn_rate: 5/s", "5:51", "'5/s' is not a number; accepted: a plain"),
        ("A question.", "why: a question", "2:17", "text with ': ' in it needs quotes"),
        ("percent: 50", "percent: 0.00001", "8:92", "accepted: at least 0.0001"),
        ("warmup: 10s", "[a]: 10s", "6:1", "a key must be plain text"),
        ("A question.", r'"\ud800"', "2:14", "half a character"),
        ("warmup: 10s", "warmup: 10s\nwarmup: 20s", "7:1", "'warmup' stands here twice"),
        ("description: A question.", "description: [a", "3:5", "this is not YAML"),
        ("[baseline, recovery]", "['fault:http-abrot']", "11:38", "did you mean 'http-abort'?"),
        ("[baseline, recovery]", "'stage:2'", "11:38", "there is no stage 2"),
        ("[baseline, recovery]", "110s..130s", "11:38", "an end of at most 120s"),
    ],
)
def test_a_mistake_is_answered_at_its_line_and_column(
    folder: Path, old: str, new: str, where: str, said: str
) -> None:
    message = refusal(write(folder, GOOD.replace(old, new, 1)))
    (line,) = [line for line in message.splitlines() if said in line]
    assert line.split(": ")[0].endswith(f"good.yaml:{where}")


def test_what_locust_cannot_load_is_refused_before_anything_starts(folder: Path) -> None:
    """Goal: no sandbox for nothing. Method: a path with a comma; one with a space is right."""
    for name in ("a,b.py", "shop.txt", "my shop.py"):
        (folder.parent / "locustfiles" / name).touch()
    assert "no comma in its path" in refusal(write(folder, GOOD.replace("shop.py", '"a,b.py"')))
    assert "ends in .py" in refusal(write(folder, GOOD.replace("shop.py", "shop.txt")))
    source = load_experiment(write(folder, GOOD.replace("shop.py", "my shop.py")))
    assert source.locustfile.name == "my shop.py"


def test_a_rehearsal_that_leaves_nothing_to_judge_is_refused(folder: Path) -> None:
    """Goal: tiny time scales. Method: at 1/100 the fault of 30 s is shorter than a second."""
    source = load_experiment(write(folder, GOOD))
    assert plan_of(source, 0.1).duration_s == 12
    with pytest.raises(
        UsageError, match=r"scale of 0\.01:\n  the baseline phase, from 0\.1s"
    ) as refused:
        plan_of(source, 0.01)
    assert max(map(len, refused.value.message.splitlines()[1:])) < 100
    assert refused.value.accepted == "a time scale of 0.1 or more"


def test_a_name_that_no_file_can_have_is_unknown(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no experiment file"):
        find_experiment("a" * 300 + ".yaml", folder)


def test_all_mistakes_come_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = GOOD.replace("users", "usres").replace("http-abort", "http").replace("60%", "60")
    lines = [line for line in refusal(write(folder, text)).splitlines() if "good.yaml:" in line]
    assert [line.split(":")[1] for line in lines[:3]] == ["5", "8", "13"]
    assert refusal(write(folder, text)).splitlines()[-1].startswith("3 mistakes in ")


def test_the_line_is_shown_with_a_caret_below_the_place(folder: Path) -> None:
    lines = refusal(write(folder, GOOD.replace("10s", "10"))).splitlines()
    assert lines[1] == "    6 | warmup: 10"
    assert lines[2] == "      |         ^"


def test_an_anchor_may_be_used_again(folder: Path) -> None:
    """Goal: YAML is YAML, without a warning. Method: one anchor twice; warnings are errors."""
    text = GOOD.replace("errors < 1%", "&a errors < 1%").replace("for: 30s", "for: &a 30s")
    assert load_experiment(write(folder, text)).experiment.guards[0].for_ == 30


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "null", "a: &x [*x]", "!!python/object:os.system x", "\x00", "name: *nobody"],
)
def test_what_is_no_experiment_at_all_is_refused(folder: Path, text: str) -> None:
    assert "good.yaml" in refusal(write(folder, text))


def test_a_huge_file_is_refused_unread(folder: Path) -> None:
    with pytest.raises(UsageError, match="at most 262144 bytes"):
        load_experiment(write(folder, "#" * 300_000))


def test_yaml_1_2_leaves_words_and_times_alone(folder: Path) -> None:
    """Goal: NO is text. Method: as a description it must come through as written."""
    text = GOOD.replace("A question.", "NO")
    assert load_experiment(write(folder, text)).experiment.description == "NO"


def test_an_unknown_name_gets_a_guess_and_the_known_ones(folder: Path) -> None:
    write(folder, GOOD)
    with pytest.raises(UsageError) as caught:
        find_experiment("goood", folder)
    assert "did you mean 'good'?" in caught.value.message
    assert caught.value.accepted.endswith("one of: good")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_mutated_file_is_a_plan_or_an_error_with_a_position(
    folder: Path, data: st.DataObject
) -> None:
    """Goal: never a traceback. Method: cut, double or replace a piece of a good file."""
    start = data.draw(st.integers(0, len(GOOD)))
    end = data.draw(st.integers(start, min(len(GOOD), start + 12)))
    piece = data.draw(st.sampled_from(["", ":", "- ", "{", "'", "\n", " ", "0", "é", "\t", "&a "]))
    path = write(folder, GOOD[:start] + piece + GOOD[end:])
    said = "good.yaml"
    try:
        load_experiment(path)
    except SeatrialError as error:
        said = error.message
    assert "good.yaml" in said


def test_a_query_over_the_phase_has_no_values_to_take_one_of(folder: Path) -> None:
    signal = "signals: {q: {promql: 'increase(x[$range])', take: max}}\n"
    said = refusal(write(folder, GOOD + signal))
    assert "good.yaml:14:52: " in said
    assert "a query with '$range' has one value for each phase; drop 'take', or '$range'" in said


def test_a_config_names_targets(tmp_path: Path) -> None:
    path = tmp_path / "seatrial.yaml"
    path.write_text(
        "targets:\n  staging: {context: stage, namespace: ecommerce, "
        "ingress: 'https://shop', prometheus: 'http://prom:9090'}\n"
    )
    assert load_config(path).targets["staging"].context == "stage"
    path.write_text("targets:\n  staging: {contxt: stage}\n")
    with pytest.raises(InvalidFileError, match="did you mean 'context'"):
        load_config(path)
    assert load_config(tmp_path / "absent.yaml").targets == {}
