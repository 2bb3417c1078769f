"""Reliability in numbers: `python -m benchmarks.reliability` tries to break dasp and counts."""
