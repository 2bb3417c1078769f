"""The command line: `dasp COMMAND`. A user's mistake is one sentence on stderr and exit code 2; our own is a traceback."""

from __future__ import annotations

import importlib
import pkgutil
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from mixing import commands
from mixing.errors import UserError, nearest, printable


class Commands(click.Group):
    """The modules of `mixing.commands`, each imported when it is needed; none imports torch before it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = (m.name for m in pkgutil.iter_modules(commands.__path__))
        return sorted(n.replace("_", "-") for n in found if not n.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        known = self.list_commands(ctx)
        if cmd_name not in known:
            raise UserError(f"no command {cmd_name!r}; there are {', '.join(known)}.{nearest(cmd_name, known)}")
        return importlib.import_module(f"{commands.__name__}.{cmd_name.replace('-', '_')}").command


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dasp-toolkit", prog_name="dasp")
@click.pass_context
def dasp(ctx: click.Context) -> None:
    """Differentiable audio effects, and a mixing console that finds out how a mix was made.

    Audio files are WAV, FLAC, MP3 or OGG, at any rate, mono or stereo. `dasp COMMAND --help` says more.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 a user's mistake, 130 interrupted."""
    arguments = list(sys.argv[1:] if args is None else args)
    try:
        code = dasp.main(arguments, prog_name="dasp", standalone_mode=False, obj=shlex.join(["dasp", *arguments]))
    except (UserError, click.ClickException) as error:
        click.echo(f"dasp: {_sentence(error)}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("dasp: interrupted; nothing was written.", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _sentence(error: Exception) -> str:
    """One line that ends as a sentence does, without control characters, whatever a file's name holds."""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    line = " ".join(printable(message).split())
    return line if line.endswith((".", "?")) else f"{line}."
