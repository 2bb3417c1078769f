"""Score a proxy: `python -m proxies.evaluate dasp:Compressor --audio FOLDER`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from proxies.sentence import fail, require

PROGRAM = "proxies.evaluate"
NEEDED = ("auraloss", "click", "pyloudnorm", "rich", "safetensors", "scipy", "soundfile", "soxr")


def main(args: Sequence[str] | None = None) -> None:
    """The command line: exit code 0 done, 2 a user's mistake (one sentence on stderr), 130 interrupted."""
    require(PROGRAM, NEEDED)
    import click

    file = click.Path(path_type=Path, dir_okay=False)

    @click.command(context_settings={"help_option_names": ["-h", "--help"]})
    @click.argument("target")
    @click.option("--weights", metavar="NAME_OR_FILE", help="Shipped weights or a file; by default those of TARGET's name.")
    @click.option("--audio", multiple=True, required=True, metavar="FOLDER", help="Music that training has not heard.")
    @click.option("--works", multiple=True, metavar="PATTERN", help="Only these works: folders below FOLDER; * and ? are known.")
    @click.option("--cases", default=128, show_default=True, type=click.IntRange(1), help="That count: where the effect acts.")
    @click.option("--seconds", default=1.0, show_default=True, type=click.FloatRange(0.05, 60), help="Length of a clip.")
    @click.option("--margin", default=0.005, show_default=True, type=click.FloatRange(0.005, 0.45), help="Of [0, 1], left out.")
    @click.option("--seed", default=0, show_default=True, help="Of clips and controls.")
    @click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Of torch.")
    @click.option("--json", "json_path", type=file, metavar="FILE", help="Write the scores here.")
    @click.option("--page", "page_path", type=file, metavar="FILE", help="Write the page here.")
    @click.option("--write", is_flag=True, help="Put the scores into the header of the weights.")
    def command(
        target: str,
        weights: str | None,
        audio: tuple[str, ...],
        works: tuple[str, ...],
        cases: int,
        seconds: float,
        margin: float,
        seed: int,
        threads: int,
        json_path: Path | None,
        page_path: Path | None,
        write: bool,
    ) -> None:
        """Score the proxy of TARGET, an import path such as dasp:Compressor or a .vst3 file, on sound and on gradient."""
        import torch
        from rich.console import Console
        from rich.progress import Progress

        from proxies.scoring import page, rounded

        torch.set_num_threads(threads)
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("cases", total=cases)
            name, scores = evaluate(
                target,
                weights,
                audio,
                works=works,
                cases=cases,
                seconds=seconds,
                margin=margin,
                seed=seed,
                progress=lambda done: bar.update(task, completed=done),
            )
        text = page(name, scores)
        click.echo(text)
        if json_path is not None:
            json_path.write_text(json.dumps(rounded(scores, 6), indent=1) + "\n", encoding="utf-8")
        if page_path is not None:
            page_path.write_text(text, encoding="utf-8")
        if write:
            click.echo(f"wrote the scores into {put(weights or name, scores)}")

    try:
        command.main(args=list(sys.argv[1:] if args is None else args), prog_name=f"python -m {PROGRAM}", standalone_mode=False)
    except click.ClickException as error:
        fail(PROGRAM, error.format_message(), 2)
    except (ValueError, TypeError, ImportError, OSError) as error:
        fail(PROGRAM, str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        fail(PROGRAM, "interrupted.", 130)


def evaluate(
    target: str,
    weights: str | None,
    audio: Sequence[str | Path],
    *,
    works: Sequence[str] = (),
    cases: int = 128,
    seconds: float = 1.0,
    margin: float = 0.005,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[str, dict[str, Any]]:
    """Score weights against the teacher at an import path, on folders of audio; speed included.

    Args: as of the command line.

    Returns:
        the name of the weights, and what `proxies.scoring.score` returns, with `real_time_factor` by device and the works heard.

    Raises:
        ValueError: the weights are of another table or sample rate, or there is no such audio.
    """
    import fnmatch

    import torch

    from proxies.audio import Source, index
    from proxies.checkpoint import load
    from proxies.scoring import PATIENCE, draw, real_time_factor, score
    from proxies.teacher import teacher

    name = weights or target.partition(":")[2]
    network = load(name, controls=teacher(target).controls)
    header = network.header
    assert header is not None
    source = teacher(target, header.sample_rate)
    files = [f for f in index(audio) if not works or any(fnmatch.fnmatchcase(f.work, w) for w in works)]
    if not files:
        raise ValueError(f"evaluate: no work below {', '.join(map(str, audio))} matches {', '.join(works)}.")
    channels = header.channels or 1
    clips = Source(tuple(files), 0.0, header.level_db, 0.0, header.sample_rate)
    drawn = draw(clips, source, PATIENCE * cases, round(seconds * header.sample_rate), channels, seed, margin)
    scores = score(network, source, drawn, cases, progress)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    scores["real_time_factor"] = {d: real_time_factor(network, header.sample_rate, channels, d) for d in devices}
    scores["works"] = sorted({f.work for f in files})
    return Path(name).stem, scores


def put(weights: str, scores: dict[str, Any]) -> Path:
    """Write scores into the header of weights, as its `evaluation`, beside what training wrote there."""
    from proxies.checkpoint import load, write_scores
    from proxies.scoring import rounded

    header = load(weights).header
    assert header is not None
    return write_scores(weights, {**header.scores, "evaluation": rounded(scores)})


if __name__ == "__main__":
    main()
