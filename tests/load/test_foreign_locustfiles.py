"""Locustfiles of others, not one byte changed, under the plug-in and a server on the loopback.

All of them are driven once, a few at a time, and each test looks at what one of them left behind:
the record, what the server saw, and what the locustfile itself printed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from conftest import ROOT
from fleet import HOST, Landed, Voyage, sailed

FILES = ROOT / "tests" / "locustfiles"
LOCUST = FILES / "locust-2.15.1"
HAR = FILES / "har2locust-0.9.4"
CLOUD = FILES / "locust-cloud-1.30.0"

VOYAGES = {
    "waves": Voyage(
        LOCUST / "custom_shape" / "double_wave.py", users=0, seconds=600, time_scale=0.01
    ),
    "staging": Voyage(
        LOCUST / "custom_shape" / "staging_user_classes.py", users=0, seconds=240, time_scale=0.025
    ),
    "semaphore": Voyage(LOCUST / "semaphore_wait.py", seconds=6),
    "basic": Voyage(LOCUST / "basic.py", answers={"/does_not_exist": (404, "no")}, users=40),
    "arguments": Voyage(
        LOCUST / "add_command_line_argument.py",
        arguments=("--my-argument", "a ship", "WebsiteUser"),
        users=1,
        seconds=1,
    ),
    "credentials": Voyage(LOCUST / "dynamic_user_credentials.py", users=4),
    "events": Voyage(LOCUST / "events.py", users=8),
    "fast": Voyage(LOCUST / "fast_http_locust.py", users=1, seconds=2),
    "manual": Voyage(LOCUST / "manual_stats_reporting.py", users=24),
    "hosts": Voyage(LOCUST / "multiple_hosts.py", users=24, api_host=True),
    "nested": Voyage(LOCUST / "nested_inline_tasksets.py", users=20),
    "threshold": Voyage(LOCUST / "stop_on_threshold.py", seconds=30, answers={"/": (500, "no")}),
    "xmlrpc": Voyage(LOCUST / "custom_xmlrpc_client/xmlrpc_locustfile.py", users=2, seconds=2),
    "requests": Voyage(HAR / "reqres.in.py", users=1, seconds=2),
    "form": Voyage(HAR / "url-encoded-body-no-text-field.py", users=1, seconds=2),
    "characters": Voyage(
        HAR / "string-problematic-characters.py",
        users=1,
        seconds=2,
        answers={"/api/users/2": (422, "no")},
    ),
    "cart": Voyage(
        CLOUD / "locustfile.py",
        users=1,
        seconds=2,
        answers={"/authenticate": (200, {"error": "bad password"})},
    ),
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Landed]]:
    with sailed(tmp_path_factory.mktemp("foreign"), VOYAGES) as landed:
        yield landed


def test_they_are_verbatim() -> None:
    """Goal: rewritten by nobody. Method: the digests that were taken where they were unpacked."""
    listed = [line.split("  ") for line in (FILES / "SHA256SUMS").read_text().splitlines()]
    found = {
        path.relative_to(FILES).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in FILES.glob("*/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert found == {name: digest for digest, name in listed}


@pytest.mark.sandbox
@pytest.mark.parametrize("name", [name for name in VOYAGES if name != "threshold"])
def test_each_is_followed_to_the_end(fleet: dict[str, Landed], name: str) -> None:
    """Goal: every one runs. Method: exit code, closing line, users, and nothing to remark."""
    landed = fleet[name]
    voyage = VOYAGES[name]
    assert landed.code == 0, landed.log
    assert (landed.record.finished, landed.record.complete) == (True, True)
    assert landed.record.notes == ()
    if voyage.users:
        assert landed.record.users[voyage.seconds - 1] == voyage.users
    assert bool(landed.counts) is (name != "arguments")  # which sends no requests


@pytest.mark.sandbox
@pytest.mark.parametrize("name", ["basic", "credentials", "fast", "nested", "requests", "form"])
def test_what_the_server_saw_is_on_record(fleet: dict[str, Landed], name: str) -> None:
    """Goal: nothing is lost or invented. Method: the server's own count of each path."""
    landed = fleet[name]
    assert landed.counts == dict(landed.server.seen)
    assert set(landed.server.hosts) == {HOST}


@pytest.mark.sandbox
def test_task_sets_functions_and_a_404(fleet: dict[str, Landed]) -> None:
    assert fleet["basic"].outcomes == {
        "GET /": {"success"},
        "GET /stats/requests": {"success"},
        "GET /does_not_exist": {"http_4xx"},
    }
    assert set(fleet["basic"].record.failures) == {("GET /does_not_exist", "http_4xx", "HTTP 404")}


@pytest.mark.sandbox
def test_nested_task_sets(fleet: dict[str, Landed]) -> None:
    assert set(fleet["nested"].counts) <= {"GET /", "GET /stats/requests"}
    assert fleet["nested"].counts["GET /"] > 0


@pytest.mark.sandbox
def test_a_locustfiles_own_arguments_reach_it(fleet: dict[str, Landed]) -> None:
    """Goal: options after `--` are the locustfile's. Method: it prints them, at test_start too."""
    log = fleet["arguments"].log
    assert log.count("Custom argument supplied: a ship\n") == 1
    assert "my_argument=a ship\n" in log
    assert "my_ui_invisible_argument=I am invisible\n" in log


@pytest.mark.sandbox
def test_on_start_logs_in_as_often_as_there_are_credentials(fleet: dict[str, Landed]) -> None:
    landed = fleet["credentials"]
    assert landed.counts["POST /login"] == 3
    assert sorted(landed.server.bodies["POST /login"]) == [
        f"username=user{number}&password=password" for number in (1, 2, 3)
    ]
    assert landed.counts["GET /protected/resource"] >= 4


@pytest.mark.sandbox
def test_a_listener_of_its_own_does_not_disturb(fleet: dict[str, Landed]) -> None:
    """Goal: `events.request` serves both. Method: a listener that takes fields by name."""
    landed = fleet["events"]
    assert landed.counts == dict(landed.server.seen)
    assert "Traceback" not in landed.log


@pytest.mark.sandbox
def test_requests_that_the_locustfile_reports_itself(fleet: dict[str, Landed]) -> None:
    """Goal: `events.request.fire` without a start time, with exceptions that go on as user errors.

    Method: a context manager and a decorator that time tasks of up to a second.
    """
    landed = fleet["manual"]
    assert landed.outcomes["manual successful_task"] == {"success"}
    assert landed.outcomes["manual failing_task"] == {"error"}
    assert landed.outcomes["manual decorator_test"] <= {"error", "success"}
    texts = {(endpoint, text) for endpoint, _, text in landed.record.failures}
    assert ("manual failing_task", "Exception: Oh nooes!") in texts
    assert ("(user code)", "Exception: Oh nooes!") in texts


@pytest.mark.sandbox
def test_a_second_session_with_a_host_of_its_own(fleet: dict[str, Landed]) -> None:
    """Goal: an abstract user with a second client. Method: only the first one is the target's."""
    landed = fleet["hosts"]
    assert landed.counts == dict(landed.server.seen)
    address = landed.server.url.removeprefix("http://")
    assert landed.server.hosts == {
        HOST: landed.counts["GET /"],
        address: landed.counts["GET /stats/requests"],
    }


@pytest.mark.sandbox
def test_users_that_wait_for_spawning_to_be_complete_go_on(fleet: dict[str, Landed]) -> None:
    assert fleet["semaphore"].outcomes == {"GET /": {"success"}}


@pytest.mark.sandbox
def test_a_locustfile_that_quits_ends_the_load_and_the_record_says_so(
    fleet: dict[str, Landed],
) -> None:
    """Goal: `runner.quit()` after a look at `stats.total.fail_ratio` does what it did.

    Method: all requests fail, and 30 s were planned.
    """
    landed = fleet["threshold"]
    assert "fail ratio was 1.0, quitting" in landed.log
    assert landed.outcomes == {"GET /": {"http_5xx"}}
    assert (landed.record.finished, landed.record.complete) == (True, False)
    assert max(landed.record.users) < 15
    (note,) = landed.record.notes
    assert note.endswith(" s of 30 s: does the locustfile call runner.quit()?")


@pytest.mark.sandbox
def test_a_client_of_another_protocol(fleet: dict[str, Landed]) -> None:
    """Goal: users without HTTP client. Method: XML-RPC over the standard library."""
    landed = fleet["xmlrpc"]
    assert landed.outcomes == {
        "xmlrpc get_time": {"success"},
        "xmlrpc get_random_number": {"success"},
    }
    # One more per user may be under way at the end.
    total = sum(landed.counts.values())
    assert total <= landed.server.seen["POST /RPC2"] <= total + 2


@pytest.mark.sandbox
def test_recordings_of_browsers(fleet: dict[str, Landed]) -> None:
    """Goal: `rest()`, raw bodies, and `catch_response` without a verdict. Method: har2locust's."""
    assert fleet["requests"].outcomes == {
        "POST /api/register": {"success"},
        "PATCH /api/users/2": {"success"},
    }
    assert set(fleet["form"].server.bodies["POST /api/users"]) == {"user=test&password=test"}
    characters = fleet["characters"]
    assert characters.outcomes == {"PATCH /api/users/2": {"http_4xx"}}
    assert set(characters.record.failures) == {("PATCH /api/users/2", "http_4xx", "HTTP 422")}


@pytest.mark.sandbox
def test_verdicts_of_the_author(fleet: dict[str, Landed]) -> None:
    """Goal: `resp.failure` counts, and a module beside the locustfile is found."""
    landed = fleet["cart"]
    assert landed.outcomes == {
        "POST /authenticate": {"error"},
        "POST /cart/add": {"success"},
        "POST /checkout/confirm": {"error"},
    }
    texts = {text for _, _, text in landed.record.failures}
    assert texts == {"bad password", "orderId missing"}
    assert "import finder works" in landed.log


@pytest.mark.sandbox
def test_a_shape_of_two_waves_is_followed(fleet: dict[str, Landed]) -> None:
    """Goal: a shape that changes at every tick. Method: ten minutes of it in six seconds.

    Of 600 s, waves are at their highest at 200 s (60 users) and 400 s (40); the ends have 20.
    """
    record = fleet["waves"].record
    assert list(record.wanted)[:5] == [0, 1, 2, 3, 4]  # one more where somebody leaves slowly
    assert [record.wanted[second] for second in (1, 3)] == [60, 40]
    assert [record.wanted[second] for second in (0, 2, 4)] == pytest.approx([20] * 3, abs=1)
    off = [abs(record.users[second] - users) for second, users in record.wanted.items()]
    assert sorted(off)[3] <= 4  # a machine that is busy is late for some


@pytest.mark.sandbox
def test_a_shape_with_stages_and_user_classes_is_followed(fleet: dict[str, Landed]) -> None:
    """Goal: six stages, ramped at their spawn rates. Method: four minutes of it in six seconds.

    A second is 40 s of the shape: at 40, 80, … s it wants 10, 50, 100, 100, 30 users.
    """
    record = fleet["staging"].record
    assert [record.wanted[second] for second in range(5)] == [10, 50, 100, 100, 30]
    off = [abs(record.users[second] - users) for second, users in record.wanted.items()]
    assert sorted(off)[2] <= 2
    assert fleet["staging"].outcomes == {"GET /": {"success"}}
