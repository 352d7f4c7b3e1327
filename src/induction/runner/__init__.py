"""Runs what is stale in the DVC graph, independent stages side by side.

`python -m induction.runner` is what `make study` calls. It decides only when a stage runs; that
it runs, is skipped, or comes from the cache is up to `dvc repro --single-item STAGE`, so a serial
`dvc repro` gives the same result. DVC always runs on this machine; where the commands of its stages
run is up to the executor.
"""
