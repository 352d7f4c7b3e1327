"""Models that others trained: found, read by `transformers`, and measured as our own are."""
