"""Neural networks that imitate an effect as a function of audio and controls."""

from proxies.checkpoint import load, save
from proxies.header import Header, control_table
from proxies.network import Network, build
from proxies.tcn import TCN

__all__ = ["TCN", "Header", "Network", "build", "control_table", "load", "save"]
