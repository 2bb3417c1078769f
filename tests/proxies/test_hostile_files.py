"""Files that are damaged, or made to do harm: each is refused in one sentence, at little cost, and nothing in it is executed."""

import json
import random
import resource
import struct
import sys

import pytest
import torch
from proxy_files import TABLE, header_of, network, written
from safetensors.torch import save as serialise

import proxies
from proxies import TCN


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def with_settings(**settings) -> dict:
    return TABLE | {"network": TABLE["network"] | settings}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Expecting value"),
        ("[]", "JSON: expected an object of"),
        ("{}", "version: expected 1, the only one that this release knows; got None"),
        (json.dumps(TABLE | {"version": 2, "more": 1}), "version: expected 1.*got 2"),
        (nested(100_000), "nested too deeply"),
        (json.dumps(TABLE).replace('"scores": {', f'"scores": {{"x": {nested(500)}, '), "scores.x.0.0.0"),
        (json.dumps(TABLE).replace('"seed": 3', '"seed": NaN'), "no NaN"),
        (json.dumps(TABLE).replace('"seed": 3', f'"seed": {"9" * 5000}'), "Exceeds the limit"),
        (json.dumps(TABLE).replace('"seed": 3', '"seed": 3, "more": 1'), "JSON: expected an object of"),
        (json.dumps(TABLE | {"effect": "x" * (1 << 18)}), "at most 262144 characters"),
    ],
    ids=range(10),
)
def test_json_that_is_no_header(tmp_path, text, sentence):
    tensors = network().state_dict()
    (tmp_path / "a.safetensors").write_bytes(serialise(tensors, {"header": text}))
    with pytest.raises(ValueError, match=f"^a.safetensors: not a proxy that can be loaded: .*{sentence}"):
        proxies.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["../x", "/etc/passwd", "os", "train", "checkpoint", "tcn.TCN", "a" * 900, ""])
def test_a_kind_is_a_name_and_nothing_is_imported_for_it(tmp_path, kind):
    path = written(tmp_path / "a.safetensors", with_settings(kind=kind))
    before = set(sys.modules)
    with pytest.raises(ValueError, match="no kind of network"):
        proxies.load(path)
    assert {name for name in set(sys.modules) - before if not name.startswith("torch.")} == set()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"channels": 1 << 20}, "larger network than the file's"),
        ({"blocks": 1 << 20, "kernel": 1, "growth": 1}, "larger network than the file's"),
        ({"num_controls": 1 << 20}, "larger network than the file's"),
        ({"condition": 1 << 20}, "larger network than the file's"),
        ({"kernel": 1 << 20}, "receptive field"),
        ({"growth": 1 << 20, "kernel": 3}, "receptive field"),
        ({"channels": 1 << 20, "in_channels": 1 << 20, "out_channels": 1 << 20, "blocks": 1}, "larger network"),
        (
            {"channels": 8},
            r"tensor 'blocks.0.activation.weight': the network has \(8,\) F32 or F16; the file has \(4,\)",
        ),
        ({"channels": "8"}, "channels must be an integer"),
        ({"causal": None, "blocks": []}, "blocks must be an integer"),
        ({"colour": 1}, "unexpected keyword argument 'colour'"),
        ({"stack": 1}, "receptive_field: expected the network's 9; got 21"),
    ],
    ids=str,
)
def test_settings_of_another_network_cost_nothing(tmp_path, settings, sentence):
    path = written(tmp_path / "a.safetensors", with_settings(**settings))
    proxies.build("tcn", num_controls=2)  # what the first call of all loads is not counted
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=f"not a proxy that can be loaded: .*{sentence}"):
        proxies.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


def changed(**tensors) -> dict:
    state = network().state_dict() | tensors
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"output.bias": None}, "tensor 'output.bias': .* the file has None"),
        ({"output.more": torch.zeros(1)}, "tensor 'output.more': the network has None"),
        ({"output.bias": torch.zeros(2)}, r"the network has \(1,\) F32 or F16; the file has \(2,\) F32"),
        ({"output.bias": torch.zeros(1, dtype=torch.float64)}, "the file has .* F64"),
        ({"output.bias": torch.zeros(1, dtype=torch.bfloat16)}, "the file has .* BF16"),
        ({"output.bias": torch.zeros(1, dtype=torch.int64)}, "the file has .* I64"),
        ({"blocks.0.normalisation.num_batches_tracked": torch.tensor(0.0)}, r"the network has \(\) I64; the file has \(\) F32"),
        ({"output.bias": torch.tensor([float("nan")])}, "output.bias is not finite"),
        ({"output.bias": torch.tensor([float("inf")], dtype=torch.float16)}, "output.bias is not finite"),
    ],
)
def test_tensors_of_another_network(tmp_path, tensors, sentence):
    path = written(tmp_path / "a.safetensors", TABLE, changed(**tensors))
    with pytest.raises(ValueError, match=f"not a proxy that can be loaded: .*{sentence}"):
        proxies.load(path)


def container(table: object, data: bytes = b"") -> bytes:
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "0 bytes"),
        (b"\x08", "1 bytes"),
        (struct.pack("<Q", 1 << 62) + b"{}", f"10 bytes, of which it says that {1 << 62} are the table"),
        (struct.pack("<Q", 1 << 21) + b" " * (1 << 21), "are the table"),
        (struct.pack("<Q", 2) + b"{}", "got nothing"),
        (container({"__metadata__": {"format": "pt"}}), "expected a header beside its tensors; got format"),
        (container({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}), ""),
        (container({"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 4]}}, b"1234"), ""),
        (container({"a": {"dtype": "F4096", "shape": [1], "data_offsets": [0, 4]}}, b"1234"), ""),
        (struct.pack("<Q", 200_000) + nested(100_000).encode(), ""),
        (b"\x80\x04\x95" + b"cos\nsystem\n(S'true'\ntR." * 9, ""),
    ],
    ids=range(11),
)
def test_a_container_that_is_none(tmp_path, content, sentence):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=f"^a.safetensors: not a proxy that can be loaded: .*{sentence}"):
        proxies.load(tmp_path / "a.safetensors")


def test_a_pickle_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'boom')!r}, 'w')",)

    torch.save(Bomb(), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="not a proxy"):
        proxies.load(tmp_path / "a.safetensors")
    assert not (tmp_path / "boom").exists()


HOSTILE = [None, True, -1, 0, 1 << 19, 1 << 70, 1e308, "", "../x", "x" * 2000, [], [[]], {}, {"kind": "tcn"}, [1] * 999]


def spoilt(draw: random.Random, table: dict) -> dict:
    """A header with one value, at any depth, replaced, left out or added."""
    table = json.loads(json.dumps(table))
    place = table
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw.choice(keys)
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.3:
            break
        place = inner
    if draw.random() < 0.2 and isinstance(place, dict):
        del place[key]
    else:
        place[key] = draw.choice(HOSTILE)
    return table


def damaged(draw: random.Random, content: bytes) -> bytes:
    """A file that is cut, prolonged, or has bytes replaced, most of them in its table."""
    way, at = draw.randrange(4), int(len(content) * draw.random() ** 2)
    if way == 0:
        return content[:at]
    if way == 1:
        return content[:at] + draw.randbytes(draw.randrange(1, 20)) + content[at:]
    spoiled = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 5, 50])):
        spoiled[int(len(content) * draw.random() ** 2)] = draw.randrange(256)
    if way == 2:
        spoiled[:8] = struct.pack("<Q", draw.choice([0, 1, len(content) - 8, len(content), 1 << 31, (1 << 64) - 1]))
    return bytes(spoiled)


def test_no_mutation_does_harm(tmp_path):
    """Each is loaded or refused by ValueError, with little memory."""
    path, net = tmp_path / "a.safetensors", network()
    proxies.save(path, net, header_of(net))
    content, draw, loaded, refused = path.read_bytes(), random.Random(0), 0, []
    proxies.load(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(600):
        if n % 2:
            written(path, spoilt(draw, TABLE), net.state_dict())
        else:
            path.write_bytes(damaged(draw, content))
        try:
            assert isinstance(proxies.load(path), TCN)
            loaded += 1
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 400
    assert loaded > 20  # another seed in the header, another bit in a weight
    assert all(message.startswith("a.safetensors: not a proxy that can be loaded: ") for message in refused)
    assert max(map(len, refused)) < 1000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
