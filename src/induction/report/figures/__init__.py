"""The figures of the report. Each function takes the results and returns a matplotlib figure."""
