"""What other packages ask of measured curves: kinds of heads, onsets, intervals."""
