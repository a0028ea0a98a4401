"""Which target a command is about: by name in ``seatrial.yaml``, or by flags alone."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.cli.options import config_option
from runner.errors import UsageError
from runner.model.access import URL_PATTERN, without_userinfo
from runner.model.target import SANDBOX, ClusterSpec, Config
from runner.source import load_config

if TYPE_CHECKING:
    from runner.catalog import TargetChoice

Command = TypeVar("Command", bound=Callable[..., Any])

UNUSED_URL = "http://unused.invalid"
"""An address that a command does not need."""

_TARGET_OPTIONS = (
    click.option("--target", help="'sandbox' (the default), or a target that seatrial.yaml names."),
    click.option("--sandbox-name", help="Which sandbox, if it is one; by default 'default'."),
    click.option(
        "--context",
        help="A cluster without (or with other values than in) seatrial.yaml: context of the "
        "kubeconfig. Never its current one.",
    ),
    click.option("--kubeconfig", help="Its kubeconfig; by default as kubectl finds it."),
    click.option("-n", "--namespace", help="Its namespace."),
    click.option("--ingress", metavar="URL", help="Where the load goes to."),
    click.option(
        "--prometheus",
        metavar="URL",
        help="Its Prometheus. Credentials of another address in seatrial.yaml do not go with it.",
    ),
    click.option("--host", help="Host header of requests to the ingress."),
    config_option,
)
_PLACE = ("context", "kubeconfig", "namespace")
_ADDRESS = (*_PLACE, "ingress", "prometheus", "host")

_NAMES = ("target", "sandbox_name", "config", *_ADDRESS)


def split_target(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of :func:`target_options`, and all others."""
    return (
        {key: value for key, value in values.items() if key in _NAMES},
        {key: value for key, value in values.items() if key not in _NAMES},
    )


def target_options(command: Command) -> Command:
    """Add the options that say where to; :func:`target_choice` takes all of them."""
    for option in reversed(_TARGET_OPTIONS):
        command = option(command)
    return command


def target_choice(
    *,
    config: Path,
    target: str | None,
    sandbox_name: str | None,
    loads: bool = True,
    **address: str | None,
) -> TargetChoice:
    """The target that the options of :func:`target_options` name.

    Flags come before what ``seatrial.yaml`` says. A context that a target there has is that target,
    with its bounds: no flag goes around them.

    Args:
        config: ``seatrial.yaml``.
        target: Name of the target; None when none was named.
        sandbox_name: Name of the sandbox; None when none was named.
        loads: Whether load will be sent and signals read; otherwise their addresses are not needed.
        address: The other options, None where not given.

    Raises:
        UsageError: When they name no target, or contradict each other.
    """
    given = {key: address[key] for key in _ADDRESS if address.get(key)}
    # Only here: a command that offers these options, and is given none, shall not wait for it.
    from runner.catalog import TargetChoice, cluster_spec

    choice = TargetChoice(
        name=target or SANDBOX, config=load_config(config), sandbox_name=sandbox_name or "default"
    )
    if choice.name == SANDBOX and not given:
        return choice
    if choice.name != SANDBOX and not given:
        cluster_spec(choice)
        _without_sandbox(choice.name, sandbox_name)
        return replace(choice, flags=_named(choice.name, config))
    sandbox = target is None and sandbox_name is not None and "context" not in given
    if target == SANDBOX or sandbox:
        raise UsageError(
            f"the sandbox has its own {', '.join(given)}",
            accepted="another target, or no such flag",
        )
    _without_sandbox(target or str(given.get("context")), sandbox_name)
    named = target or _name_of(choice.config, given)
    base = cluster_spec(choice).model_dump() if target else {}
    if named in choice.config.targets:
        base = choice.config.targets[named].model_dump()
    spec = _spec_of(named, {**base, **given}, loads=loads)
    targets = {**choice.config.targets, named: spec}
    known = named in choice.config.targets
    # What a heal does not need to find the namespace again is left out.
    other = {key: value for key, value in given.items() if str(base.get(key)) != str(value)}
    kept = {key: other[key] for key in other if not known or key in _PLACE}
    words = [word for key in kept for word in (f"--{key}", without_userinfo(str(kept[key])))]
    told = shlex.join(words)
    name = (_named(named, config) or f"--target {shlex.quote(named)}") if known else ""
    flags = " ".join(filter(None, (name, told)))
    return TargetChoice(
        name=named,
        config=choice.config.model_copy(update={"targets": targets}),
        sandbox_name=choice.sandbox_name,
        flags=flags,
    )


def _named(name: str, config: Path) -> str:
    """The flags of a target that ``config`` names; empty where its name alone will do."""
    if config == Path("seatrial.yaml"):
        return ""
    return shlex.join(["--target", name, "--config", str(config)])


def _without_sandbox(name: str, sandbox_name: str | None) -> None:
    if sandbox_name is not None:
        raise UsageError(f"the target {name!r} is not a sandbox, so --sandbox-name says nothing")


def _name_of(config: Config, given: dict[str, str | None]) -> str:
    """The name of the target with the given context; the context itself when none has it."""
    context = given.get("context")
    if context is None:
        flags = ", ".join(f"--{key}" for key in given)
        raise UsageError(
            f"{flags}: of which cluster?",
            accepted="--context CONTEXT, or --target NAME of seatrial.yaml",
        )
    having = [name for name, spec in config.targets.items() if spec.context == context]
    namespace = given.get("namespace")
    if namespace is not None and len(having) > 1:
        having = [n for n in having if config.targets[n].namespace == namespace] or having
    if len(having) > 1:
        raise UsageError(
            f"several targets of seatrial.yaml have the context {context!r}",
            accepted=" or ".join(f"--target {name}" for name in having),
        )
    return having[0] if having else context


def _spec_of(name: str, values: dict[str, Any], *, loads: bool) -> ClusterSpec:
    wanted = ("namespace", "ingress", "prometheus") if loads else ("namespace",)
    missing = [f"--{key}" for key in wanted if not values.get(key)]
    if missing:
        raise UsageError(
            f"seatrial.yaml does not name {name!r}, so more must be said about it: missing "
            f"{', '.join(missing)}",
            hint="a target that is used more than once is better named in seatrial.yaml",
        )
    unused = {"ingress": UNUSED_URL, "prometheus": UNUSED_URL}
    try:
        return ClusterSpec.model_validate(unused | values)
    except ValueError as error:
        accepted = f"a namespace's name; URLs that match {URL_PATTERN}"
        said = without_userinfo(str(error))
        raise UsageError(f"{name!r} cannot be used: {said}", accepted=accepted) from None
