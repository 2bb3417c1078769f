"""The training loop: a model and its losses as PyTorch Lightning takes them. The one door to that package."""

from __future__ import annotations

import logging
import math
import os
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from mixing.data.excerpts import Example
from mixing.errors import UserError
from mixing.text_tables import cell
from mixing.training.config import Config
from mixing.training.objective import Objective
from proxies.trainer import learning_rate

try:
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar
    from pytorch_lightning.loggers import TensorBoardLogger
    from pytorch_lightning.plugins.io import TorchCheckpointIO
except ImportError as error:
    raise ImportError(f"dasp train: needs pytorch-lightning ({error}): pip install 'dasp-toolkit[train]'") from None

PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
# Of a checkpoint: Lightning's and our own.
_PARTS = {"pytorch-lightning_version", "state_dict", "optimizer_states", "loops", "counters", "best"}
# Advice on loaders and folders that are as they are on purpose, and Lightning's own use of what torch has since renamed.
_NOISE = (
    ".*does not have many workers",
    ".*exists and is not empty",
    ".*isinstance.treespec, LeafSpec",
    ".*srun",
    ".*sync_dist=True",
)


@dataclass
class Counters:
    """Where a run stands, beside its tensors.

    Attributes:
        best: lowest validation loss; best_step: after which step; stale: validations since.
        reductions: how often the "plateau" schedule lowered the learning rate.
        scores: terms of the loss at the best validation.
        seconds: of training, over all calls, validations included.
    """

    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    reductions: int = 0
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Steps(Sampler[int]):
    """The numbers of the excerpts that one process hears in one epoch: step s of the run has excerpts [s batch, (s + 1) batch),
    each process an equal part of them. So a batch depends on its step alone, whoever asks and when.

    Args:
        steps: of an epoch.
        batch: over all processes.
        rank, world: which process of how many.
        epoch: that begins; Lightning moves it on.
    """

    def __init__(self, steps: int, batch: int, rank: int, world: int, epoch: int) -> None:
        self.steps, self.batch, self.rank, self.share, self.epoch = steps, batch, rank, batch // world, epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * self.share

    def __iter__(self):
        for step in range(self.epoch * self.steps, (self.epoch + 1) * self.steps):
            start = step * self.batch + self.rank * self.share
            yield from range(start, start + self.share)


class Songs(pl.LightningDataModule):
    """Excerpts in batches.

    Args:
        config: of the run.
        training, validation: items by number; validation None: nothing is judged.
    """

    def __init__(self, config: Config, training: Dataset, validation: Dataset | None) -> None:
        super().__init__()
        self.settings, self.training, self.validation = config, training, validation

    def train_dataloader(self) -> DataLoader:
        assert self.trainer is not None
        where = self.trainer
        sampler = Steps(self.settings.validate, self.settings.batch, where.global_rank, where.world_size, where.current_epoch)
        return self._loader(self.training, sampler)

    def val_dataloader(self) -> DataLoader | list:
        if self.validation is None:
            return []
        assert self.trainer is not None
        count = self.settings.validation_excerpts
        return self._loader(self.validation, range(self.trainer.global_rank, count, self.trainer.world_size))

    def transfer_batch_to_device(self, batch: Example, device: torch.device, dataloader_idx: int) -> Example:
        """Lightning's own way writes into dataclasses, and these are frozen."""
        known = {place: {name: value.to(device) for name, value in table.items()} for place, table in batch.known.items()}
        return replace(batch, multitrack=batch.multitrack.to(device), known=known)

    def _loader(self, items: Dataset, sampler: Any) -> DataLoader:
        assert self.trainer is not None
        workers, size = self.settings.workers, self.settings.batch // self.trainer.world_size
        return DataLoader(
            items, size, sampler=sampler, collate_fn=Example.collate, num_workers=workers, persistent_workers=workers > 0
        )


class Whole(TorchCheckpointIO):
    """Checkpoints that are whole or not there, whenever the process is killed. Lightning's own are moved from a temporary folder,
    which is a copy where that is on another disk. Reading one executes nothing, whatever it holds and whoever asks."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Tensors, numbers and text by name.

        Raises:
            UserError: damaged, or it holds other things, which are never made.
        """
        try:
            found = super().load_checkpoint(path, map_location, weights_only=True)
        except Exception as error:  # a file that is no checkpoint fails in any way
            raise UserError(_unusable(path, f"damaged, or none that dasp wrote ({type(error).__name__})")) from None
        if not isinstance(found, dict) or not found.keys() >= _PARTS or not isinstance(found["state_dict"], dict):
            raise UserError(_unusable(path, "none that dasp wrote"))
        return {**found, "path": str(path)}


class Training(pl.LightningModule):
    """A model, trained.

    Args:
        config: of the run.
        model: (Multitrack) -> Mix.
        objective: the loss.
        adaptation: the online fine-tuning of the model's proxies, where there is one.
    """

    def __init__(self, config: Config, model: nn.Module, objective: Objective, adaptation: Any = None) -> None:
        super().__init__()
        self.settings, self.model, self.objective, self.adaptation = config, model, objective, adaptation
        self.counters, self.best = Counters(), {}
        self.average = _average(model, config.optimiser.average)
        self._heard: list[tuple[dict[str, Tensor], int]] = []
        self._example: tuple[Any, Any] | None = None
        self._since = time.monotonic()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        how = self.settings.optimiser
        kind = getattr(torch.optim, how.name)
        return kind(self.model.parameters(), lr=how.learning_rate, betas=how.betas, weight_decay=how.weight_decay)

    def on_train_start(self) -> None:
        self._since = time.monotonic()
        self._stop_where_stale()

    def on_train_batch_start(self, batch: Example, batch_idx: int) -> None:
        """What is random in the step, and its learning rate, depend on its number alone."""
        self._seed(self.global_step)
        rate = learning_rate(self.settings.optimiser, self.global_step, self.settings.steps, self.counters.reductions)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate
        self.log("training/learning rate", rate)

    def training_step(self, batch: Example, batch_idx: int) -> Tensor:
        loss, terms, _ = self.objective(self.model, batch)
        if not bool(loss.isfinite()):
            names = ", ".join(f"{name} {float(value):g}" for name, value in terms.items())
            raise FloatingPointError(f"train: the loss of step {self.global_step + 1} is not finite ({names}).")
        self.log("training/loss", loss, prog_bar=True, batch_size=len(batch.songs))
        self.log_dict({f"training/{name}": value for name, value in terms.items()}, batch_size=len(batch.songs))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Example, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update_parameters(self.model)

    def on_train_epoch_end(self) -> None:
        now = time.monotonic()
        self.counters.seconds, self._since = self.counters.seconds + now - self._since, now

    def on_validation_epoch_start(self) -> None:
        self._heard, self._example = [], None
        self._seed(0)

    def validation_step(self, batch: Example, batch_idx: int) -> None:
        judged = self.model if self.average is None else self.average.module
        loss, terms, mix = self.objective(judged, batch)
        self._heard.append(({"loss": loss, **terms}, len(batch.songs)))
        if self._example is None:
            self._example = (batch.multitrack, mix)

    def on_validation_epoch_end(self) -> None:
        """Judge the weights by the mean over all excerpts of all processes, each of the same weight."""
        names = [*self._heard[0][0]]
        sums = sum(torch.stack([values[n].detach().double() for n in names]) * count for values, count in self._heard)
        count = torch.tensor([float(sum(c for _, c in self._heard))], device=self.device, dtype=torch.float64)
        assert isinstance(sums, Tensor)
        whole = self.trainer.strategy.reduce(torch.cat([sums, count]), reduce_op="sum")
        assert isinstance(whole, Tensor)
        means = dict(zip(names, (whole[:-1] / whole[-1]).tolist(), strict=True))
        score = means.pop("loss")
        now = time.monotonic()
        self.counters.seconds, self._since = self.counters.seconds + now - self._since, now
        better = self._judge(score, means)
        self.log("validation/loss", score, prog_bar=True, rank_zero_only=True)
        self.log_dict({f"validation/{name}": value for name, value in means.items()}, rank_zero_only=True)
        parts = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
        speed = self.global_step / self.counters.seconds
        self.print(
            f"step {self.global_step} of {self.settings.steps}: validation {score:.5g}{' (best)' * better}; {parts}; "
            f"{speed:.2f} steps/s"
        )
        self._show()
        self._stop_where_stale()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["counters"], checkpoint["best"] = asdict(self.counters), self.best
        if self.adaptation is not None:
            checkpoint["adaptation"] = self.adaptation.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        own = {name: value.shape for name, value in self.state_dict().items()}
        if own != {name: getattr(value, "shape", None) for name, value in checkpoint["state_dict"].items()}:
            raise UserError(_unusable(checkpoint.pop("path"), "of another model"))
        self.counters, self.best = Counters(**checkpoint["counters"]), checkpoint["best"]
        if self.adaptation is not None:
            self.adaptation.load_state_dict(checkpoint["adaptation"])

    def result(self) -> dict[str, Tensor]:
        """The weights that count: the best validated ones, or the last where nothing was validated."""
        return self.best or _copied(self.model if self.average is None else self.average.module)

    def _judge(self, score: float, terms: dict[str, float]) -> bool:
        how, counters = self.settings.optimiser, self.counters
        if score < counters.best:
            counters.best, counters.best_step, counters.stale, counters.scores = score, self.global_step, 0, terms
            self.best = _copied(self.model if self.average is None else self.average.module)
            return True
        counters.stale += 1
        if how.schedule == "plateau" and counters.stale % how.every == 0:
            counters.reductions += 1
        return False

    def _stop_where_stale(self) -> None:
        if self.settings.patience and self.counters.stale >= self.settings.patience:
            self.trainer.should_stop = True

    def _seed(self, step: int) -> None:
        torch.manual_seed((self.settings.seed * 1_000_003 + step) * self.trainer.world_size + self.global_rank)

    def _show(self) -> None:
        """The first validation excerpt, its mix and the settings in human units, for TensorBoard."""
        if self._example is None or not isinstance(self.logger, TensorBoardLogger) or not self.trainer.is_global_zero:
            return
        song, mix = self._example
        events, step = self.logger.experiment, self.global_step
        sounds = {"output": mix.audio, "target": song.mix}
        for name, sound in sounds.items():
            mono = sound[0].float().mean(0, keepdim=True).cpu()
            events.add_audio(f"validation/{name}", mono.clamp(-1, 1), step, sample_rate=round(song.sample_rate))
        if mix.controls:
            events.add_text("validation/settings", _table(song.names[0], mix.controls["tracks"]), step)


def trainer(
    config: Config, run: Path, *, validates: bool, processes: int, nodes: int, device: str, first: int, quiet: bool
) -> pl.Trainer:
    """Lightning's Trainer of a run: checkpoints in `run/checkpoints`, the two newest; events in `run/tensorboard`.

    Args:
        validates: whether there are songs to validate on.
        processes, nodes: on each machine; machines.
        device: Lightning's accelerator.
        first: step after which the run goes on; later events of a killed run are dropped.
        quiet: no progress bar.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in _NOISE:
        warnings.filterwarnings("ignore", message)
    keep = ModelCheckpoint(
        run / "checkpoints", "{step:09d}", monitor="step", mode="max", save_top_k=2, every_n_epochs=1,
        save_on_train_epoch_end=True, auto_insert_metric_name=False,
    )  # fmt: skip
    callbacks: list[pl.Callback] = [keep]
    if not quiet:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return pl.Trainer(
        accelerator=device,
        devices=processes,
        num_nodes=nodes,
        strategy="ddp" if processes * nodes > 1 else "auto",
        precision=PRECISION[config.precision],  # type: ignore[arg-type]
        max_epochs=config.steps // config.validate,
        limit_val_batches=None if validates else 0,
        num_sanity_val_steps=0,
        gradient_clip_val=config.optimiser.clip or None,
        use_distributed_sampler=False,
        logger=TensorBoardLogger(run, name="tensorboard", version="", purge_step=first + 1 if first else None),
        log_every_n_steps=min(20, config.validate),
        callbacks=callbacks,
        plugins=[Whole()],
        enable_progress_bar=not quiet,
        enable_model_summary=False,
        inference_mode=False,  # effects with derivatives of their own know torch.no_grad
    )


def newest(run: Path) -> Path | None:
    """The newest checkpoint of a run, by its step. Lightning writes them whole or not at all."""
    found = (p for p in (run / "checkpoints").glob("*.ckpt") if p.stem.isascii() and p.stem.isdecimal())
    return max(found, default=None, key=lambda p: int(p.stem))


def _unusable(path: str | Path, why: str) -> str:
    return f"train: {path} is {why}; remove it to go on from the one before, or start over with --fresh."


def _average(model: nn.Module, decay: float) -> Any:
    """The exponential moving average of a model's weights; None without a decay."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True).requires_grad_(False)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _table(names: tuple[str, ...], tracks: dict[str, Tensor]) -> str:
    """Settings of the tracks of the first song as a Markdown table."""
    rows = [f"| track | {' | '.join(tracks)} |", "|" + "---|" * (1 + len(tracks))]
    for i, name in enumerate(names):
        values = " | ".join(f"{float(v[0, i]):.2f}" for v in tracks.values())
        rows.append(f"| {cell(name)} | {values} |")
    return "\n".join(rows)
