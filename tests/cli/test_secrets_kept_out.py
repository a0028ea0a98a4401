"""Secrets, by every way in which one can be given: in no file of a run folder, in nothing said."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.cli.app import say_error
from runner.cli.live import View
from runner.cli.run import _conclude, _conduct
from runner.cli.telling import audience_of
from runner.errors import SeatrialError
from runner.load.arguments import not_given
from runner.model.access import hidden_words
from runner.model.notice import Notify
from runner.model.plan import GeneratorPlan
from runner.model.recording import TargetInfo
from runner.model.target import ClusterSpec
from runner.progress import StopRequest
from runner.source import load_config, load_experiment, plan_of
from runner.store import Store
from runner.targets.cluster import cluster_info, one_context, write_kubeconfig
from runner.targets.reachability import check_ingress, check_prometheus
from runner.testing import EPOCH_S, FakeTarget, FakeWorld

SECRET = "sw0rdf1sh-Q7"
FILES = {
    "experiments/good.yaml": "name: good\ndescription: A question.\n"
    "load: {locustfile: shop.py, stages: [{duration: 20s, users: 10}]}\n"
    "objectives: [errors < 1%]\n",
    "locustfiles/shop.py": "",
    "token": f"{SECRET}\n",
    "http.yaml": f"authorization: {{credentials: {SECRET}}}\nhttp_headers: {{X-A: {{secrets: "
    f"[{SECRET}]}}}}\n",
    "kubeconfig": json.dumps(
        {
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": f"https://u:{SECRET}@127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"token": SECRET, "password": SECRET}}],
        }
    ),
}
WAYS: dict[str, dict[str, object]] = {
    "bearer file": {"bearer_token_file": "token"},
    "bearer variable": {"bearer_token_env": "PROM_TOKEN"},
    "basic": {"basic_auth": {"username": "reader", "password_file": "token"}},
    "header": {"headers": {"Authorization": f"Custom {SECRET}", "X-Key": {"env": "PROM_TOKEN"}}},
    "parameter": {"params": {"api_key": SECRET}},
    "http_config": {"http_config": "http.yaml"},
    "URL": {},
}
ARGUMENTS = ("--shop-password", SECRET, f"--api-key={SECRET}", "--at", f"http://u:{SECRET}@h/")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("PROM_TOKEN", "LOCUST_SHOP_PASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("SEATRIAL_NOTIFY_URLS", f"json://u:{SECRET}@127.0.0.1:1/?t={SECRET}")
    return tmp_path


class Attached(FakeTarget):
    """A target that is reached with secrets, and does not answer where it is asked to."""

    def __init__(self, world: FakeWorld, info: TargetInfo, *, asked: bool) -> None:
        super().__init__(world)
        self.info, self.asked = info, asked

    def open(self, run_id: str) -> TargetInfo:
        super().open(run_id)
        if self.asked:
            check_ingress(self.info)
        return self.info


def spec_by(way: str) -> ClusterSpec:
    prometheus = {"url": f"http://u:{SECRET}@127.0.0.1:1/p"} if way == "URL" else {}
    return ClusterSpec.model_validate(
        {
            "context": "c",
            "kubeconfig": "kubeconfig",
            "namespace": "shop",
            "ingress": f"http://u:{SECRET}@127.0.0.1:1",
            "prometheus": {"url": "http://127.0.0.1:1", **WAYS[way], **prometheus},
        }
    )


@pytest.mark.parametrize(("way", "asked"), [*((way, True) for way in WAYS), ("http_config", False)])
def test_a_run_keeps_no_secret(
    place: Path, way: str, asked: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """Goal: a folder that can be shown. Method: a run with a secret everywhere; every file read."""
    info = cluster_info("staging", spec_by(way), place / "kubeconfig")
    source, world = load_experiment(place / "experiments" / "good.yaml"), FakeWorld()
    plan = plan_of(source, 1.0, GeneratorPlan(arguments=ARGUMENTS))
    ports = replace(world.ports(), target=Attached(world, info, asked=asked))
    run = Store(place / "results").create_run("good", EPOCH_S)
    assert audience_of("none", "always", Notify()).addresses
    argv = ("seatrial", "run", "good", "--prometheus", spec_by("URL").prometheus.url, *ARGUMENTS)
    view = View(run, world.clock, io.StringIO())
    end = _conduct(source, plan, ports, run, StopRequest(), view, argv=argv)
    code = _conclude(run, end, "table")
    assert code == (3 if asked else 0)
    texts = {str(path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    texts |= {name: text.encode() for name, text in zip("oe", capfd.readouterr(), strict=True)}
    assert [name for name, text in texts.items() if SECRET.encode() in text] == []
    assert len(texts) >= 6
    kept = run.read_manifest().argv
    assert kept[-4:] == ("[hidden]", "--api-key=[hidden]", "--at", "http://h/")
    assert run.read_plan().generator.arguments == hidden_words(ARGUMENTS)


@pytest.mark.parametrize("way", list(WAYS))
def test_what_does_not_answer_is_told_without_secrets(
    place: Path, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    info = cluster_info("staging", spec_by(way), place / "kubeconfig")
    for check in (check_ingress, check_prometheus):
        with pytest.raises(SeatrialError) as refused:
            check(info)
        say_error(refused.value)
        said = f"{refused.value}{capsys.readouterr()}"
        assert "127.0.0.1:1" in said
        assert SECRET not in said
    assert SECRET not in f"{info!r}{info}{info.model_dump_json()}"


@pytest.mark.parametrize(
    "text",
    [
        f"users:\n- name: u\n  user: {{token: {SECRET}\n",
        f"users:\n- name: u\n  user:\n    token: {SECRET}: x\n",
        f"users:\n- name: u\n  user:\n    password: '{SECRET}\n",
        f"users: 5\ntoken: [{SECRET}\n",
        f'{{"users": [{{"user": {{"client-key-data": "{SECRET}" "x"}}}}]}}',
    ],
)
def test_a_torn_kubeconfig_is_told_without_its_lines_secrets(place: Path, text: str) -> None:
    """Goal: a token in no message. Method: mistakes right beside one."""
    (place / "kubeconfig").write_text(text, encoding="utf-8")
    with pytest.raises(SeatrialError, match=r"kubeconfig:\d+:\d+: ") as refused:
        one_context([place / "kubeconfig"], "c")
    assert SECRET not in str(refused.value)


def test_mistakes_in_settings_are_told_without_secrets(place: Path) -> None:
    (place / "seatrial.yaml").write_text(
        "targets:\n  a:\n    context: x\n    namespace: shop\n"
        f"    ingress: https://u:{SECRET}@shop/\n"
        f"    prometheus: {{url: 'https://me:{SECRET}@p/', headers: {{Authorization: {SECRET}, "
        f"X-Api-Key: [{SECRET}]}}, bearer_token: {SECRET}, bearer_token_env: 5}}\n",
        encoding="utf-8",
    )
    with pytest.raises(SeatrialError, match="unknown key 'bearer_token'") as refused:
        load_config(place / "seatrial.yaml")
    assert SECRET not in str(refused.value)
    assert "bearer_token_env: 5 is not right here" in str(refused.value)


def test_the_private_kubeconfig_is_for_its_owner_alone(place: Path) -> None:
    path, server = write_kubeconfig(spec_by("basic"), place / "experiments")
    assert path.stat().st_mode & 0o777 == 0o600
    assert SECRET in path.read_text()
    assert SECRET in server


def test_words_of_a_command_line_without_secrets() -> None:
    words = ["--token", "a b", "--tags", "x", "--api-key=1", "-passphrase", "-v", "--author", "me"]
    kept = ("--token", "[hidden]", "--tags", "x", "--api-key=[hidden]", "-passphrase", "-v")
    assert hidden_words(words) == (*kept, "--author", "me")


def test_a_worker_is_in_order_whose_secret_is_another() -> None:
    """Goal: a plan without secrets still tells workers apart. Method: what both were given."""
    written = GeneratorPlan.model_validate_json(
        GeneratorPlan(arguments=("--tags", "a", *ARGUMENTS)).model_dump_json()
    )
    assert not_given(["locust", "--tags", "a", *ARGUMENTS], written.arguments) == ""
    assert "[hidden]" in not_given(["locust", "--tags", "b", *ARGUMENTS], written.arguments)


@pytest.mark.parametrize(
    "text",
    [
        "contexts: [{name: c, context: {cluster: {a: b}, user: u}}]\n",
        "contexts: [{name: c, context: {cluster: k, user: [u]}}]\n",
        'clusters: [{name: k, cluster: {certificate-authority: "\\0"}}]\n',
        "contexts: 5\n",
        "[]\n",
    ],
)
def test_a_kubeconfig_that_is_none_is_told(place: Path, text: str) -> None:
    (place / "kubeconfig").write_text(text, encoding="utf-8")
    with pytest.raises(SeatrialError, match=r"is none|is not a kubeconfig"):
        one_context([place / "kubeconfig"], "c")


def test_a_kubeconfig_whose_name_no_file_can_have_is_not_there() -> None:
    with pytest.raises(SeatrialError, match="the kubeconfig file does not exist: xxx"):
        one_context([Path("x" * 10_000)], "c")
