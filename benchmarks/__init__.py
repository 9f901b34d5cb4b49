"""Measurements, one command each: `python -m benchmarks.ingest_batch`. Ratios within one run are what counts."""
