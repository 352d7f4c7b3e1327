"""A reproducible study of in-context learning and induction heads (Olsson et al. 2022)."""

import os

# With several threads, those of PyTorch that wait for work give up their core after a tenth of a
# millisecond or so, not after several: attention's own threads need it. Read when PyTorch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
