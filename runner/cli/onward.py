"""What stands after ``--`` on our command line is Locust's: commands that hand it on."""

from __future__ import annotations

import click

from runner.load.arguments import misplaced


class LocustCommand(click.Command):
    """A command whose callback gets ``arguments``: the words after ``--``, which are Locust's.

    Not a variadic parameter of click's: to that, a word that was forgotten before ``--`` would be
    Locust's as well.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        arguments = tuple(args[end + 1 :])
        try:
            rest = super().parse_args(ctx, args[:end])
        except click.NoSuchOption as error:
            hint = misplaced(error.option_name)
            if not hint:
                raise
            raise click.UsageError(f"No such option {error.option_name!r}: {hint}.", ctx) from None
        ctx.params["arguments"] = arguments
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- LOCUST ARGUMENTS]"]


def words_onward(context: click.Context) -> tuple[str, ...]:
    """``--`` and the words after it, as they were given."""
    arguments = context.params.get("arguments", ())
    return ("--", *arguments) if arguments else ()
