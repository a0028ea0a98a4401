"""``seatrial role``: the least rights that an experiment takes, for whoever has to grant them."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.options import experiments_option, namespace_named
from runner.model.plan import make_plan
from runner.model.rights import all_rights, roles_text
from runner.source import find_experiment, load_experiment


@click.command("role")
@click.argument("name", required=False, metavar="[EXPERIMENT]")
@click.option(
    "-n",
    "--namespace",
    default="ecommerce",
    show_default=True,
    callback=namespace_named,
    help="Namespace of the services.",
)
@experiments_option
def role_command(name: str | None, namespace: str, experiments: Path) -> None:
    """Print the least Role that an experiment takes on a cluster; without one, that of all kinds.

    With a ClusterRole where nodes are touched. Bind them to the user or service account that runs
    seatrial.

    \b
    Example:
      seatrial role payment-abort -n shop | kubectl apply -f -
      kubectl -n shop create rolebinding seatrial --role seatrial --user ann
    """
    plan = None
    if name is not None:
        plan = make_plan(load_experiment(find_experiment(name, experiments)).experiment)
    click.echo(roles_text(all_rights(plan), namespace), nl=False)
