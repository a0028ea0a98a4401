"""``seatrial reaper``: the manifest of a CronJob that removes expired faults in a cluster."""

from __future__ import annotations

import click

from runner import __version__
from runner.errors import UsageError
from runner.model.units import parse_duration


@click.command("reaper")
@click.option("-n", "--namespace", required=True, help="Namespace of the services.")
@click.option(
    "--image",
    default=f"seatrial:{__version__}",
    show_default=True,
    help="Container image that has seatrial; deploy/Dockerfile makes one.",
)
@click.option("--every", default="1m", show_default=True, help="How often it looks.")
@click.option("--nodes", is_flag=True, help="Undo cordons, too: adds a ClusterRole for nodes.")
def reaper_command(namespace: str, image: str, every: str, nodes: bool) -> None:
    """Print a CronJob that removes expired faults in a cluster.

    A service account, a Role with the least verbs and the reason of each, and the job. A job that
    fails has found something that it could not remove.

    \b
    Example:
      seatrial reaper -n shop --image registry.example.com/seatrial:1 | kubectl apply -f -
    """
    from runner.chaos.reaper import manifest

    try:
        every_s = parse_duration(every)
    except ValueError as error:
        raise UsageError(f"--every {every}: {error}", accepted="such as 1m") from error
    click.echo(manifest(namespace, image, every_s=every_s, nodes=nodes), nl=False)
