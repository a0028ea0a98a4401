"""``seatrial sandbox``: the embedded mesh, up and down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from runner.cli.options import NamedPath, output_option, print_json
from runner.errors import ExitCode, TargetError
from runner.model.faultmark import FaultMark
from runner.targets.sandbox import control

name_option = click.option("--name", default="default", show_default=True, help="Which sandbox.")


@click.group("sandbox")
def sandbox_group() -> None:
    """A mesh of real parts on this machine: Envoy, Prometheus, a shop, a Kubernetes API.

    \b
    Example:
      seatrial sandbox up && eval "$(seatrial sandbox status --exports)" && kubectl get pods
    """


@sandbox_group.command("up")
@name_option
@click.option(
    "--api-server",
    type=NamedPath(exists=True, dir_okay=False, path_type=Path),
    metavar="KUBECONFIG",
    help="Attach to an API server that runs elsewhere instead of the embedded one.",
)
@click.option("--ingress-port", type=int, help="Port of the gateway. Default: a free one.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Change a setting, such as replicas=3, endpoint_removal_delay_s=2 or seed=7.",
)
@click.option("--timeout", "timeout_s", type=float, default=60.0, show_default=True)
@output_option
def up_command(
    name: str,
    api_server: Path | None,
    ingress_port: int | None,
    settings: tuple[str, ...],
    timeout_s: float,
    output: str,
) -> None:
    """Start a sandbox and wait until it is ready.

    \b
    Example:
      seatrial sandbox up
    """
    ports = {} if ingress_port is None else {"ingress": ingress_port}
    info = control.up(
        name,
        api_server=api_server,
        ports=ports,
        options=dict(_option(text) for text in settings),
        timeout_s=timeout_s,
        progress=lambda message: click.echo(message, err=True),
    )
    _print_info(info, output)


@sandbox_group.command("status")
@name_option
@click.option("--exports", is_flag=True, help="Print only shell lines for kubectl.")
@output_option
def status_command(name: str, exports: bool, output: str) -> int:
    """Show addresses, parts and what the mesh does not honour.

    Exit code 3 when there is no such sandbox or it is not ready.

    \b
    Example:
      seatrial sandbox status -o json
    """
    info = control.status(name)
    if info is None and output == "json" and not exports:
        print_json({"name": name, "state": "down"})
        return ExitCode.INCONCLUSIVE
    if info is None:
        others = ", ".join(other.name for other in control.all_sandboxes()) or "none"
        raise TargetError(
            f"the sandbox {name!r} is not up",
            accepted=f"one that is up: {others}",
            hint=f"seatrial sandbox up --name {name}",
        )
    if exports:
        click.echo("\n".join(info.exports))
    else:
        _print_info(info, output)
    return ExitCode.PASS if info.state == "ready" else ExitCode.INCONCLUSIVE


@sandbox_group.command("down")
@name_option
@click.option("--all", "all_of_them", is_flag=True, help="Take every sandbox down.")
def down_command(name: str, all_of_them: bool) -> None:
    """Stop a sandbox: no process, port or file stays behind. Harmless when there is none.

    \b
    Example:
      seatrial sandbox down
    """
    names = [info.name for info in control.all_sandboxes()] if all_of_them else [name]
    for one in names:
        was_up = control.down(one)
        click.echo(f"{one}: {'down' if was_up else 'was not up'}", err=True)


@sandbox_group.command("logs")
@click.argument("part", required=False)
@name_option
@click.option("--tail", type=int, default=50, show_default=True, help="Lines of each log.")
def logs_command(part: str | None, name: str, tail: int) -> None:
    """Print the logs of a sandbox: of all its parts, or of one (such as envoy).

    \b
    Example:
      seatrial sandbox logs supervisor --tail 20
    """
    for line in control.logs(name, part, tail=tail):
        click.echo(line)


def _print_info(info: control.SandboxInfo, output: str) -> None:
    if output == "json":
        print_json(info.to_json())
        return
    from runner.cli.tables import make_table, print_table, safe

    table = make_table("Sandbox", info.name)
    rows = {
        "state": f"{info.state} {info.message}".strip(),
        "up since": info.since,
        "ingress": f"{info.ingress_url}  (Host: {info.host})",
        "Kubernetes API": info.api_url,
        "Prometheus": info.prometheus_url,
        "namespace": info.namespace,
    }
    rows.update({f"version of {part}": text for part, text in sorted(info.parts.items())})
    for label, text in rows.items():
        table.add_row(label, safe(text))
    for fault in info.faults:
        mark = FaultMark(**fault)
        flags = "" if info.name == "default" else f"--sandbox-name {info.name}"
        table.add_row(
            safe("fault", "red"), safe(f"{mark.sentence}; `{mark.heal_command(flags)}` removes it")
        )
    for field in info.unsupported:
        table.add_row("not honoured", safe(_words(field)))
    for rejection in info.rejected:
        table.add_row("rejected by Envoy", safe(_words(rejection)))
    print_table(table)
    click.echo("\n".join(info.exports))


def _words(record: Mapping[str, object]) -> str:
    return " ".join(str(value) for value in record.values())


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not NAME=NUMBER", param_hint="--set") from None
