"""The differentiable mixing console: a network listens to the tracks and sets the controls of a console."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dasp import Chain, Compressor, ParametricEQ, Reverb
from gradients import Strategy
from mixing.blocks import Plan, Source
from mixing.console import FADER, Console, Controls
from mixing.mixers import UNITY_DB, Mix
from mixing.models.controller import Controller
from mixing.models.encoder import Levels, LogMelEncoder, cut, levels
from mixing.models.model import Model
from mixing.multitrack import Multitrack

STRIPS = ("gain-pan", "full")
ENCODERS = ("log_mel", "external")
_START = {"fader_db": UNITY_DB, "ratio": 1.5, "send_reverb_db": -30.0}  # others at their default: as good as the plain sum
_LEARNED_BUS = ("room_size", "damping", "width")  # the levels of a bus are its sends' business
_BLOCK = 1 << 22  # samples of all tracks together that are analysed at a time


@dataclass(frozen=True)
class Summary:
    """What the encoder heard of a batch of songs; of parts of songs they add up to that of the whole.

    Attributes:
        embedding: (B, N, E), a sum.
        weight: (B, N, 1), of how many.
        levels: (B, N) each.
    """

    embedding: Tensor
    weight: Tensor
    levels: Levels

    def __add__(self, other: Summary) -> Summary:
        return Summary(self.embedding + other.embedding, self.weight + other.weight, self.levels + other.levels)


class DMC(Model):
    """The differentiable mixing console (Steinmetz, Pons, Pascual and Serrà, ICASSP 2021).

    A shared encoder hears each track (stereo ones as their mean), the mean over the tracks is the context, and a shared network
    turns track and context into the controls of a `Console`, which makes the mix. Any number of tracks, mono or stereo; permuting
    them permutes the controls and leaves the mix, to float precision, and padding tracks change nothing.

    Strips: "gain-pan" has a fader and a pan; "full" a parametric equaliser, a compressor, fader, pan, and a send to a reverb that
    all tracks share. The first is always exact; the second's inserts and reverb get their derivatives from `gradient`, while the
    model trains. A trained model is played by `inference`: by default the effects themselves, so that what is heard is what the
    settings say, whatever they were learned through. (The paper plays its proxies in both: `inference="proxy"`.)

    Args:
        sample_rate: in Hz. Trained proxies are of 44100 Hz.
        strip: "gain-pan" or "full".
        gradient: a strategy or its name: "autodiff", "proxy" (the paper's), "hybrid", "spsa", "fd".
        inference: name of the strategy that plays in evaluation mode.
        low_db, high_db: range of the fader.
        encoder: "log_mel", or "external": one of your own, given to `use_encoder`.
        embedding, channels, mels, n_fft, hop, patch: of the encoder; see `LogMelEncoder`.
        hidden: width of the controller.
    """

    def __init__(
        self,
        sample_rate: float = 44100,
        strip: str = "gain-pan",
        gradient: str | Strategy = "autodiff",
        inference: str = "autodiff",
        low_db: float = -48.0,
        high_db: float = 24.0,
        encoder: str = "log_mel",
        embedding: int = 128,
        channels: Sequence[int] = (16, 32, 64, 128),
        mels: int = 64,
        n_fft: int = 2048,
        hop: int = 512,
        patch: int = 32768,
        hidden: int = 256,
    ) -> None:
        name = type(gradient).__module__.rpartition(".")[2] if isinstance(gradient, Strategy) else gradient
        super().__init__({**locals(), "gradient": name})
        self.one_of(STRIPS, "strip")
        self.one_of(ENCODERS, "encoder")
        self.at_least(1, "embedding", "channels", "mels", "n_fft", "hop", "patch", "hidden")
        if not FADER.low <= low_db < high_db <= FADER.high:
            raise ValueError(f"DMC: low_db < high_db within {FADER.low:g} to {FADER.high:g} dB; got {low_db} and {high_db}.")
        self.patch = patch
        self.console = self._console(gradient)
        self.player = self.console if inference == gradient else self._console(inference)
        self.encoder = LogMelEncoder(sample_rate, embedding, mels, n_fft, hop, channels, patch) if encoder == "log_mel" else None
        self._external: tuple[Callable[[Tensor], Tensor], ...] = ()
        low, high = FADER.to_unit(low_db), FADER.to_unit(high_db)
        self._fader = (low, high - low)
        table = self.console.track_controls
        self._fader_place = [q.name for q in table].index("fader_db")
        start = [q.to_unit(_START.get(q.name, q.default)) for q in table]
        start[self._fader_place] = (start[self._fader_place] - low) / (high - low)
        buses = self.console.bus_controls
        self._bus_places = [i for i, q in enumerate(buses) if q.name in _LEARNED_BUS]
        song = [buses[i].to_unit(buses[i].default) for i in self._bus_places]
        self.controller = Controller(embedding + 4, hidden, start, song)

    def _console(self, gradient: str | Strategy) -> Console:
        if self.settings["strip"] == "gain-pan":
            return Console()
        rate = self.sample_rate
        return Console(Chain(ParametricEQ(rate), Compressor(rate)), {"reverb": Reverb(rate)}, gradient=gradient)

    def use_encoder(self, encoder: Callable[[Tensor], Tensor]) -> DMC:
        """Listen with a pretrained encoder: any function (R, 1, T) -> (R, E), E being `embedding`.

        It is no part of this model: not trained, saved or moved with it. In blocks its embeddings are averaged over the blocks.

        Raises:
            ValueError: the model was made with an encoder of its own.
        """
        if self.settings["encoder"] != "external":
            raise ValueError('DMC: has an encoder of its own; make it with encoder="external" to give it another.')
        self._external = (encoder,)
        return self

    def forward(self, multitrack: Multitrack) -> Mix:
        """Mix a batch of songs: audio (B, 2, T), and the controls in human units.

        Raises:
            ValueError: another sample rate.
        """
        return (self.console if self.training else self.player)(multitrack, self.estimate(multitrack))

    def estimate(self, multitrack: Multitrack) -> Controls:
        """The controls for a batch of songs, of `self.console`, in [0, 1], with their gradient: parameter estimation."""
        return self.decide(self.listen(multitrack), multitrack.channels)

    def listen(self, multitrack: Multitrack) -> Summary:
        """What the encoder hears of the tracks of songs, or of parts of them.

        Raises:
            ValueError: another sample rate, no encoder, or an external one whose output has another shape.
        """
        self.check(multitrack)
        batch, tracks = multitrack.channels.shape
        x = (multitrack.audio * multitrack.mask[..., None, None]).mean(2)
        rows = x.flatten(0, 1)[:, None]
        if isinstance(self.encoder, LogMelEncoder):
            total, weight = self.encoder.summary(rows)
        elif self._external:
            z = self._external[0](rows)
            expected = (len(rows), self.settings["embedding"])
            if tuple(z.shape) != expected:
                raise ValueError(f"DMC: its external encoder must give {expected}; got {tuple(z.shape)}.")
            total, weight = z * x.shape[-1], z.new_full((len(z), 1), x.shape[-1])
        else:
            raise ValueError("DMC: has no encoder; give it one with use_encoder.")
        return Summary(total.unflatten(0, (batch, tracks)), weight.unflatten(0, (batch, tracks)), levels(cut(x, self.patch)))

    def decide(self, summary: Summary, channels: Tensor) -> Controls:
        """The controls for songs, from a `summary` of what the encoder heard; channels (B, N): 1, 2, or 0 for padding."""
        embedding = summary.embedding / summary.weight.clamp_min(1)
        stereo = (channels == 2).to(embedding)[..., None]
        u, song = self.controller(torch.cat([embedding, summary.levels.features().to(embedding), stereo], -1), channels > 0)
        low, width = self._fader
        k = self._fader_place
        tracks = torch.cat([u[..., :k], low + width * u[..., k : k + 1], u[..., k + 1 :]], -1)
        still = self.console.defaults(len(u), 1, device=u.device)
        buses = still.buses.to(u)
        if self._bus_places:
            buses = buses.index_copy(1, torch.tensor(self._bus_places, device=u.device), song)
        return Controls(tracks, buses, still.master.to(u))

    @torch.no_grad()
    def settle(self, source: Source) -> Plan:
        """Settings for a song of any length: it is heard in blocks of whole patches, which is as good as all at once."""
        size = max(1, _BLOCK // (self.patch * len(source.channels))) * self.patch
        heard = None
        for start in range(0, source.samples, size):
            part = self.listen(source.read(start, min(size, source.samples - start)))
            heard = part if heard is None else heard + part
        assert heard is not None
        return Plan(self._console("autodiff"), self.decide(heard, source.channels[None]))
