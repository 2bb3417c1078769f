"""`dasp apply EFFECT IN OUT`: one effect on one file; the options are the effect's table."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mixing.commands._common import Number, peak_notes, said, say, strategy, tell
from mixing.errors import UserError

if TYPE_CHECKING:
    from dasp import Effect, Param


class _Effects(click.Group):
    """A command for each effect."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from dasp.effects import registry

        return list(registry())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        from dasp.effects import find

        try:
            return _command(find(cmd_name))
        except ValueError as error:
            raise UserError(str(error)) from None


@click.group(
    "apply",
    cls=_Effects,
    short_help="Apply one effect to an audio file.",
    invoke_without_command=True,
    subcommand_metavar="EFFECT IN OUT [CONTROLS]",
    options_metavar="",
)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Apply one effect to an audio file: dasp apply Compressor in.wav out.flac --threshold-db -24.

    The format of OUT follows its ending. `dasp apply EFFECT --help` lists the controls of an effect; what is left out has
    its default.
    """
    if ctx.invoked_subcommand is None:
        names = ", ".join(command.list_commands(ctx))
        raise UserError(f"name an effect, as in dasp apply Gain in.wav out.wav --gain-db -6; there are {names}.")


def _command(cls: type[Effect]) -> click.Command:
    about = (inspect.getdoc(cls) or "").split("\n\n")[0]
    params: list[click.Parameter] = [
        click.Argument(["source"], metavar="IN", type=click.Path(path_type=Path)),
        click.Argument(["target"], metavar="OUT", type=click.Path(path_type=Path)),
    ]
    for q in cls.controls:
        text = f"{q.doc[:1].upper()}{q.doc[1:]}{'; ' if q.doc else ''}{q.low:g} to {q.high:g}."
        flag = f"--{q.name.replace('_', '-')}"
        params.append(
            click.Option(
                [flag, q.name],
                type=Number(q.low, q.high, q.unit),
                default=q.default,
                show_default=True,
                help=text,
                metavar=q.unit or "NUMBER",
            )
        )
    for name, default in cls.options.items():
        params.append(
            click.Option(
                [f"--{name}"], type=type(default), default=default, show_default=True, help="Setting of the effect, see above."
            )
        )
    params += [
        click.Option(
            ["--gradient"],
            default="autodiff",
            show_default=True,
            help="Whose sound: autodiff renders with dasp's DSP, fd and spsa with the real plugin.",
        ),
        click.Option(
            ["--tail"], type=Number(0, 600, "s"), default=0.0, show_default=True, metavar="SECONDS",
            help="Go on for so long after the end of IN, to let it ring out.",
        ),
        click.Option(
            ["--plot"], type=click.Path(path_type=Path), metavar="FILE",
            help="Also draw spectrogram and stereo image before and after: SVG or PNG.",
        ),
    ]  # fmt: skip

    def run(**given: Any) -> None:
        _run(cls, **given)

    return click.Command(cls.__name__, params=params, callback=run, help=about, short_help=about)


def _run(cls: type[Effect], *, source: Path, target: Path, gradient: str, tail: float, plot: Path | None, **values: Any) -> None:
    import torch

    from mixing.audio import check_writable, read, write

    check_writable(target)
    if plot is not None:
        from mixing.pictures import sound, style

        style.check(plot)
    options = {k: values.pop(k) for k in cls.options}
    strategy(gradient, [cls.__name__])
    audio, rate = read(source)
    audio = torch.nn.functional.pad(audio, (0, round(tail * rate)))
    try:
        with torch.no_grad():
            out = cls(rate, gradient=gradient, **options)(audio[None], **values)[0]
    except ValueError as error:
        raise UserError(str(error)) from None
    gain = write(target, out, rate)
    say(peak_notes(out, gain, str(target)))
    tell(f"wrote {said(target, out, rate)}")
    if plot is not None:
        title = ", ".join([cls.__name__, *(f"{q.name} {style.short(values[q.name])}" for q in cls.controls if _moved(q, values))])
        style.save(sound.before_and_after(audio, out, rate, title), plot)
        tell(f"wrote {plot}")


def _moved(q: Param, values: dict[str, Any]) -> bool:
    return values[q.name] != q.default
