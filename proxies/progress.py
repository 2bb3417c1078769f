"""What a user sees of a run: a progress bar, a line for each validation, and TensorBoard's curves and sounds."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

from torch import Tensor


class Progress:
    """Reports of one run.

    Args:
        run: its folder; TensorBoard's events go into `tensorboard` below it.
        steps: to do in all.
        done: of them, when it begins.
        sample_rate: of the sounds, in Hz.
        quiet: say and write nothing: not the first process.
    """

    def __init__(self, run: Path, steps: int, done: int, sample_rate: float, *, quiet: bool) -> None:
        self.quiet, self.rate = quiet, round(sample_rate)
        if quiet:
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar
        from torch.utils.tensorboard import SummaryWriter

        self.events = SummaryWriter(str(run / "tensorboard"), purge_step=done + 1 if done else None)
        console = Console(stderr=True)
        columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self.bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("", total=steps, completed=done)
        self.bar.start()
        self.start, self.done, self.steps = monotonic(), done, steps

    def step(self, step: int, loss: float, terms: dict[str, Tensor], rate: float) -> None:
        """One step was done: the loss, its terms, the learning rate."""
        if self.quiet:
            return
        speed = (step - self.done) / max(monotonic() - self.start, 1e-9)
        self.bar.update(self.task, completed=step, description=f"loss {loss:.4g}, {speed:.2f} steps/s")
        if step % 20 == 0:
            self.events.add_scalar("training/loss", loss, step)
            self.events.add_scalar("training/learning rate", rate, step)
            for name, value in terms.items():
                self.events.add_scalar(f"training/{name}", float(value), step)

    def validation(
        self, step: int, score: float, terms: dict[str, float], example: tuple[Tensor, Tensor, Tensor], *, best: bool
    ) -> None:
        """The network was judged: its score, the terms, and (input, output, target) (C, T) of one clip."""
        if self.quiet:
            return
        speed = (step - self.done) / max(monotonic() - self.start, 1e-9)
        parts = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
        star = " (best)" if best else ""
        self.bar.console.print(
            f"step {step} of {self.steps}: validation {score:.5g}{star}; {parts}; {speed:.2f} steps/s", highlight=False
        )
        self.events.add_scalar("validation/loss", score, step)
        for name, value in terms.items():
            self.events.add_scalar(f"validation/{name}", value, step)
        for name, sound in zip(("input", "output", "target"), example, strict=True):
            self.events.add_audio(f"validation/{name}", sound[:1].cpu().clamp(-1, 1), step, sample_rate=self.rate)

    def close(self) -> None:
        if not self.quiet:
            self.bar.stop()
            self.events.close()
