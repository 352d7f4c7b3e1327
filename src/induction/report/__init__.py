"""What the report shows: the cells of reports/index.qmd call one-line functions from here."""
