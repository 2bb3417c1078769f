"""How soon a shipped network is there."""

import json
import subprocess
import sys

from shipping import ship

import dasp

CHILD = """
import json, sys, time
import torch
start = time.process_time()
import pathlib, proxies
proxies.checkpoint.WEIGHTS = pathlib.Path(sys.argv[1])
proxies.load("Compressor")
optional = {"scipy", "auraloss", "click", "rich", "dasp", "gradients"}
print(json.dumps([time.process_time() - start, sorted(optional & set(sys.modules))]))
"""


def test_a_network_is_loaded_in_a_fraction_of_what_torch_takes(tmp_path):
    ship(tmp_path, dasp.Compressor())
    run = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=True)
    seconds, loaded = json.loads(run.stdout)
    assert not loaded
    assert seconds < 0.5, "CPU seconds beyond torch's own import; 2 s are allowed with it"
