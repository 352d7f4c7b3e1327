"""Runs of the study, wherever they lie: what they hold, and in what two of them differ."""
