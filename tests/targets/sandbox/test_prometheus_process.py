"""The sandbox's Prometheus: configuration and rules as data, and the search for its binary."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runner.errors import MissingPartError
from runner.targets.sandbox import prometheus
from runner.targets.sandbox.binaries import find_prometheus
from runner.targets.sandbox.settings import SandboxSettings


def settings_in(home: Path) -> SandboxSettings:
    return SandboxSettings(
        name="unit",
        home=home,
        slot=3,
        api_port=1001,
        ingress_port=1002,
        prometheus_port=1003,
        envoy_admin_port=1004,
        exporter_port=1005,
        kubelet_port=1006,
    )


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_every_second_both_targets_are_scraped_at_their_own_ports(tmp_path: Path) -> None:
    config = prometheus.scrape_config(settings_in(tmp_path))
    assert config["global"]["scrape_interval"] == "1s"
    assert {
        job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]
    } == {"envoy": ["127.0.0.1:1004"], "pods": ["127.0.0.1:1005"]}


def test_pods_keep_their_own_namespace_label(tmp_path: Path) -> None:
    jobs = prometheus.scrape_config(settings_in(tmp_path))["scrape_configs"]
    assert [job.get("honor_labels", False) for job in jobs] == [False, True]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("envoy_istio_requests_total", "istio_requests_total"),
        (
            "envoy_istio_request_duration_milliseconds_bucket",
            "istio_request_duration_milliseconds_bucket",
        ),
        (
            "envoy_cluster_outlier_detection_ejections_active",
            "envoy_cluster_outlier_detection_ejections_active",
        ),
    ],
)
def test_envoys_prefix_is_taken_off_istios_metrics_only(
    tmp_path: Path, given: str, expected: str
) -> None:
    """The relabelling rule is applied as Prometheus does: anchored, `$1` for the first group."""
    rule = prometheus.scrape_config(settings_in(tmp_path))["scrape_configs"][0][
        "metric_relabel_configs"
    ][0]
    match = re.fullmatch(rule["regex"], given)
    name = rule["replacement"].replace("$1", match[1]) if match else given
    assert (rule["target_label"], name) == ("__name__", expected)


@pytest.mark.parametrize(
    ("statistic", "wanted"),
    [
        ("istio.requests_total.reporter.source", True),
        ("cluster.outbound|80||payment-api.outlier_detection.ejections_active", True),
        ("cluster.outbound|80||payment-api.circuit_breakers.default.rq_open", True),
        ("cluster.outbound|80||payment-api.upstream_rq_pending_overflow", True),
        ("cluster.outbound|80||payment-api.membership_healthy", True),
        ("cluster.outbound|80||payment-api.update_rejected", True),
        ("cluster.outbound|80||payment-api.ssl.handshake", False),
        ("http.gateway.downstream_rq_total", False),
        ("server.memory_allocated", False),
    ],
)
def test_envoy_is_asked_only_for_what_experiments_read(statistic: str, wanted: bool) -> None:
    assert bool(re.search(prometheus.ENVOY_FILTER, statistic)) is wanted


def test_alerts_have_the_bounds_of_the_reference_system_and_a_tenth_of_its_times() -> None:
    """Goal: nobody waits 5 min on a laptop, and everybody can see so. Method: each rule."""
    (group,) = prometheus.alert_rules()["groups"]
    rules = {rule["alert"]: rule for rule in group["rules"]}
    assert {name: (rule["for"], rule["labels"]["severity"]) for name, rule in rules.items()} == {
        "HighErrorRate": ("30s", "critical"),
        "HighLatency": ("30s", "warning"),
        "PodDown": ("30s", "critical"),
        "CircuitBreakerOpen": ("12s", "warning"),
    }
    assert rules["HighErrorRate"]["expr"].endswith("> 0.01")
    assert rules["HighErrorRate"]["expr"].count("[30s]") == 2
    assert rules["HighLatency"]["expr"].endswith("> 1000")
    assert rules["PodDown"]["annotations"]["description"] == (
        "the sandbox waits 30 s for it, the reference system 300 s"
    )


def test_no_alert_counts_a_request_twice() -> None:
    """Every selector of an Istio metric names its reporter."""
    for rule in prometheus.alert_rules()["groups"][0]["rules"]:
        for selector in re.findall(r"istio_\w+\{([^}]*)\}", rule["expr"]):
            assert 'reporter="source"' in selector
        assert rule["expr"].count("istio_") == rule["expr"].count('reporter="source"')


def test_prometheus_listens_on_loopback_and_keeps_its_data_in_the_sandbox(tmp_path: Path) -> None:
    command = prometheus.command_line(Path("/bin/prometheus"), settings_in(tmp_path))
    assert command[0] == "/bin/prometheus"
    assert "--web.listen-address=127.0.0.1:1003" in command
    assert f"--storage.tsdb.path={tmp_path}/prometheus/data" in command


def test_the_named_binary_is_taken_before_the_one_on_path(tmp_path: Path) -> None:
    named = program(tmp_path / "named")
    program(tmp_path / "bin" / "prometheus")
    environment = {"SEATRIAL_PROMETHEUS": str(named), "PATH": str(tmp_path / "bin")}
    assert find_prometheus(environment) == named


def test_the_binary_on_path_is_found(tmp_path: Path) -> None:
    on_path = program(tmp_path / "bin" / "prometheus")
    assert find_prometheus({"PATH": str(tmp_path / "bin")}) == on_path


def test_the_copy_in_the_users_cache_is_found(tmp_path: Path) -> None:
    """Asked where no checkout has a copy; a checkout's own copy would come first."""
    cached = program(tmp_path / ".cache" / "seatrial" / "prometheus/usr/bin/prometheus")
    found = find_prometheus({"PATH": "", "HOME": str(tmp_path)}, checkout=tmp_path / "elsewhere")
    assert found == cached


def test_a_checkouts_copy_is_found(tmp_path: Path) -> None:
    unpacked = program(tmp_path / ".tools" / "prometheus/usr/bin/prometheus")
    assert find_prometheus({"PATH": ""}, checkout=tmp_path) == unpacked


def test_a_named_file_that_is_no_program_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("no program")
    with pytest.raises(MissingPartError, match=r"SEATRIAL_PROMETHEUS names .*notes"):
        find_prometheus({"SEATRIAL_PROMETHEUS": str(tmp_path / "notes")})


def test_a_missing_binary_says_where_it_was_looked_for_and_what_helps(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError) as caught:
        find_prometheus({"PATH": "", "HOME": str(tmp_path)}, checkout=tmp_path)
    assert str(tmp_path / ".tools/prometheus/usr/bin/prometheus") in caught.value.message
    assert "make setup" in caught.value.hint


@pytest.mark.sandbox
def test_prometheus_itself_accepts_configuration_and_rules(tmp_path: Path) -> None:
    """The real promtool, next to the binary that the sandbox starts, checks what we write."""
    promtool = find_prometheus().with_name("promtool")
    if not promtool.exists() and shutil.which("promtool") is None:
        pytest.skip("promtool is not installed beside Prometheus")
    process = prometheus.PrometheusProcess(settings_in(tmp_path), find_prometheus())
    process.write_configuration()
    checked = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus" / "prometheus.json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "4 rules found" in checked.stdout + checked.stderr
