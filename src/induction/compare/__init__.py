"""What differs between two runs of the study: parameters, stages, verdicts, metrics, curves."""
