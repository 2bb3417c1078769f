"""The training loop: deterministic, resumed exactly, over one process or many through lightning-fabric."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from proxies import normalisation, snapshot
from proxies.checkpoint import save
from proxies.config import Config, Optimiser
from proxies.data import Batch, Batches, ahead, batches
from proxies.header import Header, control_table
from proxies.initial import begin
from proxies.loss import Loss
from proxies.network import Network, build
from proxies.progress import Progress


@dataclass
class Counters:
    """Where a run stands, beside its tensors.

    Attributes:
        step: optimiser steps done.
        best: lowest validation loss; best_step: after which step; stale: validations since.
        reductions: how often the "plateau" schedule lowered the learning rate.
        scores: terms of the loss at the best validation.
    """

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    reductions: int = 0
    scores: dict[str, float] | None = None


def train(
    config: Config,
    folders: Sequence[str | Path],
    run: str | Path,
    *,
    name: str,
    command: str,
    processes: int = 1,
    nodes: int = 1,
    device: str = "auto",
    fresh: bool = False,
) -> Path:
    """Train a proxy, or go on where an earlier call with the same settings was stopped.

    Batch, initial weights and everything random are functions of the settings and the step, so a run that was killed and called
    again ends as the one that was not: on the same machine, bit for bit.

    Args:
        config: of the run.
        folders: of audio.
        run: folder of the run: snapshots, TensorBoard's events, and the result.
        name: of the result, `<name>.safetensors`.
        command: what trains the weights again, for their header.
        processes: on this machine, each with an equal part of the batch: on as many GPUs, or on the CPU through gloo.
        nodes: machines; started by torchrun or the like on each.
        device: lightning-fabric's accelerator: "auto", "cpu", "cuda", "mps".
        fresh: start over, whatever the folder has.

    Returns:
        path of the result.

    Raises:
        ValueError: wrong settings, or the folder has a run with other ones.
    """
    from lightning_fabric import Fabric

    strategy = "ddp" if processes * nodes > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=processes, num_nodes=nodes, strategy=strategy)
    fabric.launch()
    if config.batch % (fabric.world_size * (2 if config.loss.difference else 1)):
        raise ValueError(f"train: a batch of {config.batch} cannot be shared by {fabric.world_size} processes.")
    return _Run(fabric, config, folders, Path(run) / f"{name}.safetensors", command, fresh).finish()


def learning_rate(optimiser: Optimiser, step: int, steps: int, reductions: int = 0) -> float:
    """The learning rate of a step of a run of `steps`."""
    rise = min((step + 1) / optimiser.warm_up, 1.0) if optimiser.warm_up else 1.0
    share = 1.0
    if optimiser.schedule == "cosine":
        place = max(step - optimiser.warm_up, 0) / max(steps - optimiser.warm_up, 1)
        share = optimiser.final + (1 - optimiser.final) * (1 + math.cos(math.pi * min(place, 1))) / 2
    elif optimiser.schedule == "step":
        share = optimiser.factor ** (step // optimiser.every)
    elif optimiser.schedule == "plateau":
        share = optimiser.factor**reductions
    return optimiser.learning_rate * rise * share


def network(settings: dict[str, Any], controls: int) -> Network:
    """The network of a recipe: `kind` and settings, of which `preset` stands for those of a published TCN."""
    settings = {"num_controls": controls, **settings}
    kind = settings.pop("kind")
    if "preset" in settings:
        from proxies.tcn import TCN

        if kind != "tcn":
            raise ValueError(f"config: network.preset is for kind tcn; got {kind!r}.")
        return TCN.preset(settings.pop("preset"), **settings)
    return build(kind, **settings)


class _Run:
    """A run from its start, or its newest snapshot, to its end."""

    def __init__(
        self, fabric: Any, config: Config, folders: Sequence[str | Path], result: Path, command: str, fresh: bool
    ) -> None:
        self.fabric, self.config, self.result, self.command = fabric, config, result, command
        self.folders = folders
        self.data: Batches = batches(config, folders)
        self.steps = config.epochs * self.data.epoch if config.epochs and self.data.epoch else config.steps
        self.part = {"rank": fabric.global_rank, "world": fabric.world_size}
        torch.manual_seed(config.seed)
        self.network = network(config.network, len(self.data.controls))
        begin(self.network, config.initial, self.data.controls)
        if fabric.world_size > 1:
            normalisation.share(self.network)
        self.loss = Loss(config.loss, config.audio.samples).to(fabric.device)
        how = config.optimiser
        made = getattr(torch.optim, how.name)
        self.optimiser = made(self.network.parameters(), lr=how.learning_rate, betas=how.betas, weight_decay=how.weight_decay)
        self.model, self.wrapped = fabric.setup(self.network, self.optimiser)
        self.average = _average(self.network, config.optimiser.average)
        self.counters, self.best = Counters(), snapshot.copied(self.network)
        self.state = result.parent / "snapshots"
        self.identity = {"config": config.as_dict(), "files": self.data.fingerprint}
        if fresh and fabric.is_global_zero:
            snapshot.clear(self.state)
        fabric.barrier()
        self._resume()
        self._header()  # here, so that what it would refuse is known before the training and not after

    def finish(self) -> Path:
        config, counters = self.config, self.counters
        checks = [self._on_device(b) for b in self.data.validation(**self.part)]
        writer = Progress(
            self.result.parent, self.steps, counters.step, self.data.sample_rate, quiet=not self.fabric.is_global_zero
        )
        made = ahead(lambda k: self.data.training(k, **self.part), counters.step, self.steps, config.ahead)
        try:
            for batch in made:
                if self._stopped():
                    break
                loss, terms = self._step(self._on_device(batch))
                counters.step += 1
                writer.step(counters.step, loss, terms, self.optimiser.param_groups[0]["lr"])
                if counters.step % config.validate == 0 or counters.step == self.steps:
                    score, terms, example = self._validate(checks)
                    self._judge(score, terms)
                    writer.validation(counters.step, score, terms, example, best=counters.best_step == counters.step)
                    self._keep()
        finally:
            made.close()
            writer.close()
        return self._save()

    def _step(self, batch: Batch) -> tuple[float, dict[str, Tensor]]:
        """One step of the optimiser; what is random in network or loss depends on the step alone."""
        config, step = self.config.optimiser, self.counters.step
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        if self.config.loss.rr_stft:
            import numpy as np

            np.random.seed(step)  # noqa: NPY002 (auraloss draws its resolutions from it)
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, step, self.steps, self.counters.reductions)
        with self._precision():
            output = self.model(batch.x, batch.u)
        loss, terms = self.loss(output, batch.y)
        self.fabric.backward(loss)
        if config.clip:
            self.fabric.clip_gradients(self.model, self.wrapped, max_norm=config.clip)
        self.wrapped.step()
        self.wrapped.zero_grad()
        if self.average:
            self.average.update_parameters(self.network)
        return float(loss.detach()), terms

    @torch.no_grad()
    def _validate(self, checks: list[Batch]) -> tuple[float, dict[str, float], tuple[Tensor, Tensor, Tensor]]:
        """Mean loss and terms over the validation batches and all processes, and an example (input, output, target)."""
        judged = self._judged().eval()
        total, sums, example = 0.0, {}, None
        for batch in checks:
            with self._precision():
                output = judged(batch.x, batch.u)
            loss, terms = self.loss(output, batch.y)
            values = self.fabric.all_reduce(torch.stack([loss, *terms.values()]), reduce_op="mean").tolist()
            total += values[0] / len(checks)
            for name, value in zip(terms, values[1:], strict=True):
                sums[name] = sums.get(name, 0.0) + value / len(checks)
            example = example or (batch.x[0], output[0].float(), batch.y[0])
        assert example is not None
        return total, sums, example

    def _precision(self) -> torch.autocast:
        """bf16 where asked for. Not fabric's own, which rounds the audio as well before the network sees it."""
        return torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=self.config.precision == "bf16")

    def _judge(self, score: float, terms: dict[str, float]) -> None:
        counters, config = self.counters, self.config.optimiser
        if score < counters.best:
            counters.best, counters.best_step, counters.stale, counters.scores = score, counters.step, 0, terms
            self.best = snapshot.copied(self._judged())
            return
        counters.stale += 1
        if config.schedule == "plateau" and counters.stale % config.every == 0:
            counters.reductions += 1

    def _stopped(self) -> bool:
        return bool(self.config.patience) and self.counters.stale >= self.config.patience

    def _judged(self) -> nn.Module:
        """The network that counts: the average of the weights where one is kept."""
        return self.average.module if self.average else self.network

    def _keep(self) -> None:
        if self.fabric.is_global_zero:
            tensors = snapshot.prefixed("network.", self.network.state_dict()) | snapshot.prefixed("best.", self.best)
            tensors |= snapshot.prefixed("optimiser.", snapshot.optimiser_tensors(self.optimiser))
            if self.average:
                tensors |= snapshot.prefixed("average.", self.average.state_dict())
            snapshot.write(self.state, self.counters.step, tensors, {**self.identity, **asdict(self.counters)})
        self.fabric.barrier()

    def _resume(self) -> None:
        found = snapshot.newest(self.state)
        if found is None:
            return
        tensors, counters = found
        for key, own in self.identity.items():
            if (other := counters.pop(key)) != own:
                what = _differences(other, own) if key == "config" else "other audio files"
                raise ValueError(
                    f"train: {self.result.parent} has a run with {what}; choose another folder with --run, or start over "
                    "with --fresh."
                )
        self.counters = Counters(**counters)
        self.network.load_state_dict(snapshot.under(tensors, "network."))
        snapshot.restore_optimiser(self.optimiser, snapshot.under(tensors, "optimiser."))
        if self.average:
            self.average.load_state_dict(snapshot.under(tensors, "average."))
        self.best = snapshot.under(tensors, "best.")

    def _on_device(self, batch: Batch) -> Batch:
        return Batch(*(t.to(self.fabric.device) for t in batch))

    def _header(self) -> Header:
        config, counters, data = self.config, self.counters, self.data
        unknown = [{"name": Path(f).resolve().name, "licence": "not stated", "origin": "not stated"} for f in self.folders]
        used = [*config.audio.licences] or unknown
        if data.epoch == 0 and config.audio.synthetic:
            used.append({"name": "synthetic signals", "licence": "CC0-1.0", "origin": "proxies.signals"})
        return Header(
            effect=config.target,
            controls=control_table(data.controls),
            sample_rate=data.sample_rate,
            channels=data.channels,
            network=self.network.description,
            receptive_field=self.network.receptive_field,
            level_db=config.audio.level_db,
            scores={"validation": {"loss": counters.best, **counters.scores}, "step": counters.best_step}
            if counters.scores
            else {},
            command=self.command,
            seed=config.seed,
            data=tuple(used),
            licence=config.licence,
        )

    def _save(self) -> Path:
        if self.fabric.is_global_zero:
            self.network.load_state_dict(self.best)
            normalisation.unshare(self.network)
            save(self.result, self.network, self._header())
        self.fabric.barrier()
        return self.result


def _average(network: nn.Module, decay: float) -> Any:
    """The exponential moving average of a network's weights; None without a decay."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None


def _differences(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What is set otherwise, in words."""
    names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    return "another " + ", ".join(f"{n} ({json.dumps(old.get(n))[:60]})" for n in names)
