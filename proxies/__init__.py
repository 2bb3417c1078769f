"""Neural networks that imitate an effect as a function of audio and controls."""

from proxies.tcn import TCN

__all__ = ["TCN"]
