"""Explain an error on the command line, and suggest the command or option that was meant.

Usage:
    app = typer.Typer(cls=Commands)
    usage_text(error)      # "no option '--blcoks': did you mean '--blocks'?"
"""

from typing import Any

import typer
from typer.core import TyperGroup

from bench.errors import UsageError
from bench.spec.suggestion import near_misses, nearest


class Commands(TyperGroup):
    """A group of commands that suggests the nearest one for an unknown command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that ``args`` begin with; raise UsageError if there is none."""
        unknown = self.get_command(ctx, args[0]) is None and not args[0].startswith("-")
        if unknown and not ctx.resilient_parsing:
            commands = list(self.commands)
            close = near_misses(args[0], [*commands, *options_of(ctx)])
            raise UsageError(f"no command '{args[0]}'{nearest(args[0], close or commands)}")
        return super().resolve_command(ctx, args)


def options_of(ctx: Any) -> list[str]:
    """Return the long option names of the command that is being parsed."""
    names = [name for param in ctx.command.get_params(ctx) for name in param.opts]
    return [name for name in names if name.startswith("--")]


def usage_text(error: typer.TyperException) -> str:
    """Return what Typer rejects, and what to write instead."""
    option, ctx = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if option and ctx and hasattr(error, "possibilities"):
        return f"no option '{option}'{nearest(option, options_of(ctx))}"
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    return f"{message}: see {ctx.command_path if ctx else 'bench'} --help"
