"""Mix-Wave-U-Net: from the waveforms of the tracks to that of the mix, on ever coarser time scales and back."""

from __future__ import annotations

from torch import Tensor, nn

from mixing.models.waveform import WaveformModel, joined

FORMS = ("official", "toolkit")
_DEEPEST = 20  # levels: one sample of the coarsest is then 24 s
_SIZES = {
    "official": {"levels": 10, "down": 15, "up": 5, "output": 1},
    "toolkit": {"levels": 12, "down": 13, "up": 13, "output": 5},
}


class MixWaveUNet(WaveformModel):
    """Mix-Wave-U-Net (Martinez Ramirez, Stoller and Moffat, JAES 69(3), 2021), a Wave-U-Net (Stoller et al., 2018) for mixing.

    Two forms are published. "official", the authors' own: convolutions without padding, so that every sample of the mix is made
    from real context; each level drops every second sample, and comes back by linear interpolation; LeakyReLU. Some 6.18 million
    parameters for 8 mono tracks. "toolkit", that of automix-toolkit (Steinmetz et al., 2022): padded convolutions with batch
    normalisation and PReLU; each level halves the rate by a convolution of stride 2, and comes back by repeating samples. Some
    17.8 million. In both the input joins in once more before the last convolution, which is linear.

    Sizes left out (None) are those of the form as published.

    Args:
        tracks: places for tracks; see `WaveformModel`.
        track_channels: 1 or 2.
        sample_rate: in Hz.
        form: "official" or "toolkit".
        levels: how often the rate is halved.
        filters: channels of the first level, and by how many each further one has more.
        down, up, output: sizes of the convolutions' kernels, odd.
    """

    def __init__(
        self,
        tracks: int = 8,
        track_channels: int = 1,
        sample_rate: float = 44100,
        form: str = "official",
        levels: int | None = None,
        filters: int = 24,
        down: int | None = None,
        up: int | None = None,
        output: int | None = None,
    ) -> None:
        super().__init__(locals())
        self.one_of(FORMS, "form")
        sizes = {key: size if self.settings[key] is None else self.settings[key] for key, size in _SIZES[form].items()}
        self.settings |= sizes
        self.at_least(1, "levels", "filters", "down", "up", "output")
        if sizes["levels"] > _DEEPEST:
            raise ValueError(f"MixWaveUNet: levels is at most {_DEEPEST}; got {sizes['levels']}.")
        even = [key for key in ("down", "up", "output") if sizes[key] % 2 == 0]
        if even:
            raise ValueError(f"MixWaveUNet: {even[0]} is the size of a kernel and odd; got {sizes[even[0]]}.")
        self.valid = form == "official"
        inputs, depth, kernel_down, kernel_up = tracks * track_channels, sizes["levels"], sizes["down"], sizes["up"]
        widths = [filters * (level + 1) for level in range(depth + 1)]
        ways = list(zip((inputs, *widths), widths[:depth], strict=False))
        back = list(reversed(range(depth)))
        if self.valid:
            encoder = [_leaky(before, width, kernel_down) for before, width in ways]
            middle = _leaky(widths[-2], widths[-1], kernel_down)
            decoder = [_leaky(widths[level + 1] + widths[level], widths[level], kernel_up) for level in back]
        else:
            encoder = [_normalised(before, width, kernel_down) for before, width in ways]
            self.halve = nn.ModuleList(nn.Conv1d(w, w, kernel_down, 2, kernel_down // 2) for w in widths[:depth])
            middle = nn.Conv1d(widths[-2], widths[-2], 1)
            decoder = [_normalised(2 * widths[level], widths[max(level - 1, 0)], kernel_up) for level in back]
        self.encoder, self.middle, self.decoder = nn.ModuleList(encoder), middle, nn.ModuleList(decoder)
        last = sizes["output"]
        self.output = nn.Conv1d(filters + inputs, 2, last, padding=0 if self.valid else last // 2)
        self.multiple = 1 << depth
        reach = (
            self._surplus(sizes) // 2 if self.valid else (2 * sizes["down"] + sizes["up"]) * self.multiple // 2 + sizes["output"]
        )
        self.margin = -(-reach // self.multiple) * self.multiple

    def _surplus(self, sizes: dict[str, int]) -> int:
        """By how much the input of the official form is longer than its output, whatever their lengths."""
        asked = 1 << (sizes["levels"] + 4)
        taken, given = self.lengths(asked)
        return taken - given

    def lengths(self, samples: int) -> tuple[int, int]:
        """Of the official form: samples of input that it takes to give at least `samples`, and those that it then gives."""
        down, up, output = (self.settings[key] for key in ("down", "up", "output"))
        levels = self.settings["levels"]
        coarse: float = samples + output - 1
        for _ in range(levels):
            coarse = (coarse + up) / 2
        # A float for as long as it goes up the levels, rounded once at the coarsest.
        taken = given = max(2, -int(-coarse // 1))
        taken += down - 1
        for _ in range(levels):
            given = 2 * given - up
            taken = 2 * taken - 1 + down - 1
        return taken, given - output + 1

    def process(self, x: Tensor) -> Tensor:
        samples = x.shape[-1]
        return self._valid(x)[..., :samples] if self.valid else self._padded(x)[..., :samples]

    def _valid(self, x: Tensor) -> Tensor:
        taken, given = self.lengths(x.shape[-1])
        before = (taken - given) // 2
        x = nn.functional.pad(x, (before, taken - before - x.shape[-1]))
        y, skips = x, []
        for layer in self.encoder:
            y = layer(y)
            skips.append(y)
            y = y[..., ::2]
        y = self.middle(y)
        for layer in self.decoder:
            y = nn.functional.interpolate(y, 2 * y.shape[-1] - 1, mode="linear", align_corners=True)
            y = layer(joined(y, skips.pop()))
        return self.output(joined(y, x))

    def _padded(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(x, (0, -x.shape[-1] % self.multiple))
        y, skips = x, []
        for layer, halve in zip(self.encoder, self.halve, strict=True):
            y = layer(y)
            skips.append(y)
            y = halve(y)
        y = self.middle(y)
        for layer in self.decoder:
            y = layer(joined(y.repeat_interleave(2, -1), skips.pop()))
        return self.output(joined(y, x))

    @classmethod
    def small(cls, tracks: int = 8, track_channels: int = 2, sample_rate: float = 44100) -> MixWaveUNet:
        """The official form with eight levels and fewer filters, some 1.6 million parameters; by default with stereo places.

        Args:
            tracks, track_channels, sample_rate: as of the class.
        """
        return cls(tracks, track_channels, sample_rate, "official", levels=8, filters=16)


def _leaky(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, kernel), nn.LeakyReLU(0.2))


def _normalised(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
    return nn.Sequential(convolution, nn.BatchNorm1d(outputs), nn.PReLU(outputs))
