"""What the performance claims rest on: `python -m benchmarks`, or `make bench`."""
