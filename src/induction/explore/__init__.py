"""What the report's attention explorer shows: every model on a few passages of real text."""
