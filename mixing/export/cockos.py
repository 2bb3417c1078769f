"""The states of REAPER's own plugins, which stand in a project as base64.

The layouts are public knowledge: several programs that read or write them agree, and the tests hold states that REAPER itself
saved. ReaEQ: int32 33, the number of bands, then for each its type, whether it is on, frequency in Hz, gain as a factor,
bandwidth in octaves (doubles) and a byte; 1, 1, the gain of all. ReaComp, ReaGate, ReaVerbate: eight bytes, then a float32 a
parameter, in the order of the plugin's list. ReaLimit: threshold and ceiling in dB as doubles.

ReaEQ's band is the cookbook's (R. Bristow-Johnson) with alpha = sin w sinh(ln 2 / 2 bandwidth w / sin w); its shelves are the
cookbook's with slope 1 / bandwidth^2, for bandwidths from 0.915.
"""

from __future__ import annotations

import base64
import math
import struct
from dataclasses import dataclass

from mixing.errors import UserError
from mixing.export.rpp import Chunk

LOW_SHELF, HIGH_SHELF, PEAK = 0, 1, 8
NARROWEST_SHELF = 0.915
BANDWIDTHS = (0.01, 4.0)
_EQ_TAIL = bytes.fromhex("00000000fd0100005c01000002000000")  # the size of its window
_FLOATS = bytes.fromhex("efbeadde0df0adde")
_WIDTH = 128  # characters a line
_TWO = (2, 1, 0, 2, 0)  # two inputs or outputs with their masks
_FOUR = (4, 1, 0, 2, 0, 4, 0, 8, 0)  # of which two listen to a side-chain


@dataclass(frozen=True)
class Plugin:
    """One of REAPER's plugins.

    Attributes:
        name, file, number, key: as a project writes them.
        code: in front of its state.
        inputs: their number and masks.
        whole: whether the plugin writes its state itself, or REAPER its parameters.
        default: of its parameters.
    """

    name: str
    file: str
    number: int
    key: str
    code: bytes
    inputs: tuple[int, ...] = _TWO
    whole: bool = False
    default: tuple[float, ...] = ()

    def chunk(self, state: bytes) -> Chunk:
        """The plugin in a chain, with a state."""
        head = ["VST", f"VST: {self.name} (Cockos)", self.file, "0", "", f"{self.number}<{self.key}>", ""]
        numbers = (0xFEED5EEE if self.whole else 0xFEED5EEF, *self.inputs, *_TWO, len(state), int(self.whole), 0x100000)
        made = Chunk(head)
        for block in (self.code + struct.pack(f"<{len(numbers)}I", *numbers), state, bytes.fromhex("000010000000")):
            text = base64.b64encode(block).decode()
            for at in range(0, len(text), _WIDTH):
                made.line(text[at : at + _WIDTH])
        return made


COMP = Plugin(
    "ReaComp", "reacomp.dll", 1919247213, "5653547265636D726561636F6D700000", b"mcer", _FOUR,
    default=(1, 3 / 99, 0.006, 0.02, 0, 0, 1, 0, 0, 0, 0, 1, 3.1622775e-8, 0.05, 0, 0, 0, 0.25, 0, 0, 0),
)  # fmt: skip
GATE = Plugin(
    "ReaGate", "reagate.dll", 1919248244, "56535472656774726561676174650000", b"tger", _FOUR,
    default=(3.1622775e-8, 0.006, 0.02, 0, 0, 1, 0, 0, 0, 3.1622775e-8, 1, 3.1622775e-8, 1, 0, 0, 0, 0, 0, 0, 0, 0),
)  # fmt: skip
VERB = Plugin(
    "ReaVerbate", "reaverbate.dll", 1920361016, "56535472766238726561766572626174", b"8bvr", default=(1, 1, 0.5, 0.5, 1, 0, 1, 0)
)
LIMIT = Plugin("ReaLimit", "realimit.dll", 1919708532, "565354726C6D747265616C696D697400", b"tmlr", whole=True)
EQ = Plugin("ReaEQ", "reaeq.dll", 1919247729, "56535472656571726561657100000000", b"qeer", whole=True)


@dataclass(frozen=True)
class EqBand:
    """A band of ReaEQ: gain as a factor, bandwidth in octaves."""

    kind: int
    frequency: float
    gain: float
    bandwidth: float
    on: bool = True


def eq_state(bands: list[EqBand], gain: float) -> bytes:
    """ReaEQ with these bands and a gain of all."""
    records = [struct.pack("<iidddB", b.kind, b.on, b.frequency, b.gain, b.bandwidth, 1) for b in bands]
    return struct.pack("<ii", 33, len(bands)) + b"".join(records) + struct.pack("<iid", 1, 1, gain) + _EQ_TAIL


def eq_bands(state: bytes) -> tuple[list[EqBand], float]:
    """The other way round.

    Raises:
        ValueError: not such a state.
    """
    try:
        version, count = struct.unpack_from("<ii", state)
        if version != 33 or not 0 <= count <= 100:
            raise ValueError("another version")
        bands = []
        for n in range(count):
            kind, on, frequency, gain, bandwidth, _ = struct.unpack_from("<iidddB", state, 8 + 33 * n)
            bands.append(EqBand(kind, frequency, gain, bandwidth, bool(on)))
        return bands, struct.unpack_from("<iid", state, 8 + 33 * count)[2]
    except struct.error:
        raise ValueError("cut short") from None


def floats_state(plugin: Plugin, values: dict[int, float]) -> bytes:
    """A plugin of float32 parameters, those that are not given at their default."""
    given = [values.get(n, x) for n, x in enumerate(plugin.default)]
    return _FLOATS + struct.pack(f"<{len(given)}f", *given)


def floats(plugin: Plugin, state: bytes) -> tuple[float, ...]:
    """The other way round.

    Raises:
        ValueError: not such a state.
    """
    if state[:8] != _FLOATS or len(state) < 8 + 4 * len(plugin.default):
        raise ValueError("not a list of parameters")
    return struct.unpack_from(f"<{len(plugin.default)}f", state, 8)


def limit_state(threshold_db: float, ceiling_db: float = 0.0) -> bytes:
    """ReaLimit; its release stays REAPER's."""
    return struct.pack("<iiddiidd", 3, 0, threshold_db, ceiling_db, 2, 0, 0.0, 0.1778279410038923)


def limit_threshold(state: bytes) -> float:
    """The other way round.

    Raises:
        ValueError: not such a state.
    """
    if len(state) < 24:
        raise ValueError("cut short")
    return struct.unpack_from("<d", state, 8)[0]


def state_of(who: str, chunk: Chunk) -> bytes:
    """What stands between a plugin's header and its last line.

    Raises:
        UserError: not base64.
    """
    try:
        lines = [line[0] for line in chunk.body if isinstance(line, list) and line]
        blocks, block = [], b""
        for line in lines:
            part = base64.b64decode(line, validate=True)
            block += part
            if len(line) < _WIDTH:  # the last line of a block is shorter; a full one may end a block, too
                blocks.append(block)
                block = b""
        header = blocks[0]
        (length,) = struct.unpack_from("<I", header, len(header) - 12)
        return b"".join(blocks[1:])[:length]
    except (ValueError, IndexError, struct.error):
        raise UserError(f"{who}: the state of {' '.join(chunk.head[1:2])} cannot be read.") from None


def peak_bandwidth(q: float, frequency: float, sample_rate: float) -> float:
    """Q -> octaves, for the same filter at a sample rate."""
    w = 2 * math.pi * min(frequency, 0.49 * sample_rate) / sample_rate
    return 2 / math.log(2) * math.asinh(1 / (2 * q)) * math.sin(w) / w


def peak_q(bandwidth: float, frequency: float, sample_rate: float) -> float:
    """The other way round."""
    w = 2 * math.pi * min(frequency, 0.49 * sample_rate) / sample_rate
    return 1 / (2 * math.sinh(math.log(2) / 2 * bandwidth * w / math.sin(w)))


def shelf_bandwidth(q: float, gain_db: float) -> float:
    """Q of a shelf -> the bandwidth with the same slope; below `NARROWEST_SHELF` ReaEQ has none."""
    a = 10 ** (gain_db / 40)
    return math.sqrt(max(0.0, (1 / q**2 - 2) / (a + 1 / a) + 1))


def shelf_q(bandwidth: float, gain_db: float) -> float:
    """The other way round."""
    a = 10 ** (gain_db / 40)
    return 1 / math.sqrt(max(1e-12, (a + 1 / a) * (bandwidth**2 - 1) + 2))
