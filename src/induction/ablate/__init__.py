"""What changes when heads are taken out: of the model's losses, and so of its ICL score."""
