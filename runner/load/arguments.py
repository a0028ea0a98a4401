"""Arguments for Locust that stand after ``--`` on our command line. Pure; imports no Locust.

Most are handed on as they are: tags, user classes, a locustfile's own options. Refused is what
would fight the plan, and what would end in something other than a run. An option that is unknown
here may be the locustfile's own, so only Locust can refuse it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from itertools import takewhile

from runner.errors import UsageError
from runner.model.access import hidden_words
from runner.model.experiment import LoadModel

_STAGES = "the experiment's stages say it"
_PROCESSES = "seatrial starts Locust's processes itself, see 'seatrial run --help'"
_PAGE = "Locust's web page is not started; watch the run in the terminal, and read its report"
_ENDS = "a run starts and ends by its plan"
_ASKS = "this asks Locust instead of running it; call 'locust' for that"

REFUSED: dict[str, str] = {
    "-u --users": f"users: {_STAGES}",
    "-r --spawn-rate": f"the spawn rate: {_STAGES}",
    "-t --run-time": f"the length: {_STAGES}",
    "-f --locustfile": "the Locust file: the experiment's load.locustfile says it",
    "-H --host": "the host: the target says it, see --target and seatrial.yaml",
    "-s --stop-timeout": "the grace at the end: the experiment's load.stop_timeout says it",
    "--exit-code-on-error": "the exit code: the verdict decides it",
    "--headless --headful --autostart --autoquit": _ENDS,
    "-P --web-host --web-port --web-host-display-name --web-auth --web-login": _PAGE,
    "--web-base-path --tls-cert --tls-key --build-path --legacy-ui": _PAGE,
    "--class-picker": "name the user classes after the options instead",
    "--master --master-bind-host --master-bind-port --master-host --master-port": _PROCESSES,
    "--worker --processes --slave --expect-slaves": _PROCESSES,
    "--expect-workers --expect-workers-max-wait --enable-rebalancing": _PROCESSES,
    "--print-stats": "statistics: the report has them",
    "--reset-stats": "the start of the load: the experiment's warmup leaves it out",
    "--logfile": "the log: it is kept in the run's folder",
    "-h --help -V --version -l --list --show-task-ratio --show-task-ratio-json": _ASKS,
}
"""Options of Locust that a run does not take, and who says the same instead."""

SHAPES_OWN = frozenset(["-u", "--users", "-r", "--spawn-rate", "-t", "--run-time"])
"""What a load shape of the locustfile's own may read from Locust's options, and so is handed on."""

_REPORTS = {
    "--csv": True,
    "--html": True,
    "--json-file": True,
    "--csv-full-history": False,
    "--json": False,
}
"""Options that ask for Locust's own reports, and whether a value follows."""

_WHY = {option: why for options, why in REFUSED.items() for option in options.split()}

_HANDED_ON = frozenset(
    (
        *("-T", "--tags", "-E", "--exclude-tags", "-L", "--loglevel"),
        *("--config-users", "--equal-weights", *_REPORTS),
    )
)

_VARIABLES = """
AUTOQUIT AUTOSTART BUILD_PATH CONFIG_USERS CSV CSV_FULL_HISTORY ENABLE_OPENTELEMETRY EXCLUDE_TAGS
EXIT_CODE_ON_ERROR EXPECT_WORKERS EXPECT_WORKERS_MAX_WAIT HEADFUL HEADLESS HOST HTML LEGACY_UI
LOCUSTFILE LOGFILE LOGLEVEL MASTER_BIND_HOST MASTER_BIND_PORT MASTER_NODE_HOST MASTER_NODE_PORT
MODE_MASTER MODE_WORKER ONLY_SUMMARY PRINT_STATS PROCESSES RESET_STATS RUN_TIME SKIP_LOG_SETUP
SPAWN_RATE STOP_TIMEOUT TAGS TLS_CERT TLS_KEY USERCLASS_PICKER USERS USER_CLASSES WEB_AUTH
WEB_BASE_PATH WEB_HOST WEB_HOST_DISPLAY_NAME WEB_LOGIN WEB_PORT
"""
OWN_VARIABLES = frozenset(f"LOCUST_{name}" for name in _VARIABLES.split())
"""Environment variables of Locust itself; others that begin with LOCUST_ are a locustfile's."""


def check_arguments(arguments: Iterable[str], model: LoadModel = "users") -> None:
    """See that ``arguments`` leave the plan alone.

    Options are recognised as Locust's parser does: ``--users 5``, ``--users=5``, ``-u 5``, ``-u5``.
    An abbreviation is not: ``--user`` may be the locustfile's own.

    Raises:
        UsageError: Names every option that is refused, and who says the same instead.
    """
    refused: dict[str, str] = {}
    for word in takewhile("--".__ne__, arguments):  # past it, only user classes are named
        option = _option(word)
        if option in _WHY and not (model == "own" and option in SHAPES_OWN):
            refused.setdefault(option, _WHY[option])
    if refused:
        told = "".join(f"\n  {option}: {why}" for option, why in refused.items())
        raise UsageError(
            "Locust is not given what this run decides itself:" + told,
            accepted="Locust's other options (such as --tags and --exclude-tags), user classes, "
            "and the options that the locustfile adds",
        )


def misplaced(option: str) -> str:
    """What to do about an option of Locust's that stands before ``--``; empty for any other."""
    if option in _HANDED_ON:
        return f"it is Locust's, and stands after '--', as in '-- {option} …'"
    # A slip of our own --workers is likelier than Locust's.
    return _WHY.get(option, "") if option != "--worker" else ""


def for_worker(arguments: Iterable[str]) -> tuple[str, ...]:
    """``arguments`` without those that ask for reports: workers would write over the master's."""
    kept: list[str] = []
    skipping = False
    words = iter(arguments)
    for word in words:
        if word == "--":
            return (*kept, word, *words)
        if word.startswith("-") and word != "-":
            option, _, value = word.partition("=")
            skipping = option in _REPORTS and not value and _REPORTS[option]
            if option in _REPORTS:
                continue
        elif skipping:
            skipping = False
            continue
        kept.append(word)
    return tuple(kept)


def not_given(argv: Sequence[str], arguments: Sequence[str]) -> str:
    """What is wrong with a worker that was started with ``argv``; empty when it is in order.

    A worker from elsewhere gets its arguments there: with other tags or user classes than the rest,
    it would make another load.
    """
    wanted = for_worker(arguments)
    # Without the values that no plan has written down.
    wanted = hidden_words(wanted)
    if not wanted or hidden_words(argv[-len(wanted) :]) == wanted:
        return ""
    return f"Locust was not given there what the run gives it: {shlex.join(wanted)}"


def _option(word: str) -> str:
    """The option that ``word`` starts with; empty when it is none."""
    if word.startswith("--"):
        return word.partition("=")[0]
    if word.startswith("-") and len(word) > 1:
        return word[:2]
    return ""
