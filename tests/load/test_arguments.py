"""What may stand after ``--``: Locust's own parser is the measure of what we know of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from runner.errors import UsageError
from runner.load.arguments import OWN_VARIABLES, REFUSED, check_arguments, for_worker, not_given

_ALLOWED = """
--tags -T --exclude-tags -E --config --config-users --csv --csv-full-history --html --json
--json-file --only-summary --skip-log-setup --loglevel -L --equal-weights --profile --otel
"""
ALLOWED = set(_ALLOWED.split())

ASK_LOCUST = """
import json
from locust.argument_parser import get_parser
actions = get_parser()._actions
print(json.dumps({
    "options": [option for action in actions for option in action.option_strings],
    "variables": [a.env_var for a in actions if getattr(a, "env_var", None)],
}))
"""


@pytest.fixture(scope="module")
def locusts() -> dict[str, list[str]]:
    """Locust's own options and variables, from a process that may import it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_LOCUST], capture_output=True, text=True, timeout=60, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_every_option_of_locust_is_either_refused_or_handed_on(
    locusts: dict[str, list[str]],
) -> None:
    """Goal: a new Locust brings no option that nobody thought about. Method: its parser's list."""
    refused = {option for options in REFUSED for option in options.split()}
    assert refused & ALLOWED == set()
    assert set(locusts["options"]) == refused | ALLOWED


def test_every_variable_of_locust_is_known(locusts: dict[str, list[str]]) -> None:
    # The last one is read without the parser.
    assert {*locusts["variables"], "LOCUST_USER_CLASSES"} == OWN_VARIABLES


@pytest.mark.parametrize(
    "words",
    [
        "--tags a b -E slow -T x --my-option 3 MyUser",
        "--user 5 --my-token=-u -L DEBUG --html report.html --equal-weights",
        "--data - -- -u --master",
        "-5 - MyUser",
        "",
    ],
)
def test_what_leaves_the_plan_alone_is_handed_on(words: str) -> None:
    check_arguments(words.split())


@pytest.mark.parametrize(
    ("word", "option", "instead"),
    [
        ("-u", "-u", "users: the experiment's stages say it"),
        ("-u5", "-u", "users: the experiment's stages say it"),
        ("--users=5", "--users", "users: the experiment's stages say it"),
        ("-t", "-t", "the length: the experiment's stages say it"),
        ("-Hhttp://x", "-H", "the host: the target says it"),
        ("--processes", "--processes", "seatrial starts Locust's processes itself"),
        ("--web-port=1", "--web-port", "Locust's web page is not started"),
        ("--list", "--list", "this asks Locust instead of running it"),
    ],
)
def test_what_fights_the_plan_is_refused(word: str, option: str, instead: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_arguments(["--tags", "a", word, "7"])
    assert f"\n  {option}: {instead}" in refused.value.message
    assert "--exclude-tags" in refused.value.accepted


def test_a_shape_of_the_locustfiles_own_may_read_what_stages_would_say() -> None:
    """Goal: `use_common_options` works. Method: the three options, and one that stays refused."""
    words = ["-u", "5", "--spawn-rate=1", "-t", "1m"]
    check_arguments(words, "own")
    with pytest.raises(UsageError, match="-f: the Locust file"):
        check_arguments([*words, "-f", "x.py"], "own")


def test_all_that_is_refused_is_named_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        check_arguments(["-u", "5", "-r", "1", "-u", "6"])
    lines = refused.value.message.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["-u", "-r"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--tags a b --csv out MyUser --html=x.html -L DEBUG", "--tags a b MyUser -L DEBUG"),
        ("--json --csv-full-history --json-file x --csv=y A B", "A B"),
        ("--my-file x --html y -- --csv z", "--my-file x -- --csv z"),
        ("--json MyUser", "MyUser"),
    ],
)
def test_workers_write_no_reports(given: str, kept: str) -> None:
    assert for_worker(given.split()) == tuple(kept.split())


def test_a_worker_with_other_arguments_than_the_run_is_told_of() -> None:
    argv = ["locust", "-f", "x.py", "--worker", "--tags", "a b"]
    assert not_given(argv, ["--csv", "out", "--tags", "a b"]) == ""
    assert not_given(argv, []) == ""
    assert (
        not_given(argv, ["--tags", "a b", "Buyer"])
        == "Locust was not given there what the run gives it: --tags 'a b' Buyer"
    )
