"""The local learning coefficient: how much the loss rises near a snapshot, by sampling there."""
