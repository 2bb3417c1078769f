"""What a training makes small: losses between mixes, and the distance to settings where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from mixing import losses
from mixing.errors import UserError
from mixing.mixers import Mix
from mixing.multitrack import Multitrack
from mixing.training.config import Config
