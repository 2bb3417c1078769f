"""`dasp gradients`: the agreement of each gradient strategy with float64 autodiff."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mixing.commands._common import Number, tell
from mixing.errors import UserError

if TYPE_CHECKING:
    from dasp import Effect


@click.command("gradients", short_help="How well each gradient strategy agrees with float64 autodiff.")
@click.option("--effect", "names", multiple=True, metavar="NAME", help="Only this effect (may be repeated).")
@click.option("--all", "everything", is_flag=True, help="Every effect, not only those of a channel strip.")
@click.option("--steps", "with_steps", is_flag=True, help="Also the error of differences at several steps, control by control.")
@click.option("--draws", default=10, show_default=True, type=click.IntRange(1), help="Random pairs of settings.")
@click.option("--seconds", default=2.0, show_default=True, type=Number(0.2, 10, "s"), help="Length of each excerpt.")
@click.option("--seed", default=0, show_default=True, help="Seed of the draws and of SPSA.")
@click.option("--json", "json_path", metavar="FILE", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.option("--page", metavar="FILE", type=click.Path(path_type=Path), help="Also write a page with all tables here.")
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="Also draw the agreement, controls by strategies: SVG or PNG."
)
@click.option(
    "--landscape",
    metavar="CONTROL",
    help="Instead of tables, draw into --plot the loss along this control of one --effect, and each strategy's slopes on it.",
)
@click.option(
    "--readme", metavar="FILE", type=click.Path(path_type=Path), help="Put the strip's table between this file's markers."
)
def command(
    names: tuple[str, ...],
    everything: bool,
    with_steps: bool,
    draws: int,
    seconds: float,
    seed: int,
    json_path: Path | None,
    page: Path | None,
    plot: Path | None,
    landscape: str | None,
    readme: Path | None,
) -> None:
    """Cosine and norm ratio of each strategy's control gradient against float64 autodiff, on the demo's stems.

    The black boxes are the real plugins where there are some. Prints Markdown tables.
    """
    from rich.console import Console as Terminal

    from dasp.effects import find, registry
    from mixing import agreement as a
    from mixing.demo_data import excerpts
    from mixing.markers import replace_between
    from mixing.output import check_file, write_text

    try:
        chosen = [find(name) for name in names or (registry() if everything else a.EFFECTS)]
        if readme is not None:
            replace_between(readme.read_text(), "gradients", "")
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from None
    silent = [cls.__name__ for cls in chosen if not a.measurable(cls)]
    if silent and not everything:
        raise UserError(f"{silent[0]} has no control with a true gradient, hence nothing to compare.")
    chosen = [cls for cls in chosen if a.measurable(cls)]
    for path in (json_path, page, readme):
        if path is not None:
            check_file(path)
    if plot is not None:
        from mixing.pictures import style

        style.check(plot)
    if landscape is not None:
        _landscape(landscape, chosen, plot, seconds, seed)
        return
    audio, rate = excerpts(seconds)
    rows, steps, cosines = [], [], {}
    with Terminal(stderr=True).status("") as status:
        for cls in chosen:
            rows += a.agreement(cls, audio, rate, draws=draws, seed=seed, progress=status.update)
            if plot is not None:
                cosines[cls.__name__] = a.by_control(cls, audio, rate, draws=draws, seed=seed, progress=status.update)
            if with_steps:
                status.update(f"{cls.__name__}: steps")
                steps += a.step_errors(cls, audio, rate, draws=draws, seed=seed)
    tables = [a.markdown(rows), a.error_markdown(rows), *([a.steps_markdown(steps)] if steps else [])]
    click.echo("\n\n".join(tables))
    about = {"draws": draws, "seconds": seconds, "seed": seed, "sample_rate": rate}
    if json_path is not None:
        figures = {**about, "rows": [r.as_dict() for r in rows], "steps": [asdict(s) for s in steps]}
        write_text(json_path, json.dumps(figures, indent=1) + "\n")
    if page is not None:
        write_text(page, _page(tables, about))
    if plot is not None:
        from mixing.pictures import gradients as pictures

        style.save(pictures.agreement(cosines), plot)
    if readme is not None:
        strip = a.markdown([r for r in rows if r.effect in a.EFFECTS])
        write_text(readme, replace_between(readme.read_text(), "gradients", strip))


def _landscape(control: str, chosen: list[type[Effect]], plot: Path | None, seconds: float, seed: int) -> None:
    """Draw the loss along a control."""
    from rich.console import Console as Terminal

    from mixing.demo_data import excerpts
    from mixing.landscape import landscape
    from mixing.pictures import gradients as pictures
    from mixing.pictures import style

    if plot is None or len(chosen) != 1:
        raise UserError("--landscape draws a control of one effect: give --effect NAME and --plot FILE, too.")
    audio, rate = excerpts(seconds)
    try:
        with Terminal(stderr=True).status("") as status:
            found = landscape(chosen[0], control, audio[:1], rate, seed=seed, progress=status.update)
    except ValueError as error:
        raise UserError(str(error)) from None
    style.save(pictures.landscape(found), plot)
    tell(f"wrote {plot}")


_HEADS = (
    "Cosine / norm ratio of the control gradient against float64 autodiff, medians. `SPSA n` averages n directions.",
    """Errors over the gradient's norm. An SPSA estimate of n directions scatters by the deviation of one over the square root
of n; its bias is what that scatter does not account for.""",
    """Central differences, control by control: the step of least error among seven, and the default (`Param.step`), which fd and
SPSA use unless they are given an epsilon.""",
)


def _page(tables: list[str], about: dict[str, float]) -> str:
    """docs/gradients.md."""
    intro = f"""# Gradients

Written by `make gradients`. Loss: the mean squared error to the same music through other settings of the same effect;
{about["draws"]} random pairs of settings, excerpts of {about["seconds"]:g} s of the demo's stems, seed {about["seed"]}.
Black boxes are the real plugins where there are some, else the float32 DSP unseen by autograd. Controls that declare a
surrogate gradient are left out.
"""
    return "\n".join([intro, *(f"{h}\n\n{t}\n" for h, t in zip(_HEADS, tables, strict=False))])
