"""Benchmarks: each speed is printed beside a limit of the same run on the same machine."""
