"""A reproducible study of in-context learning and induction heads (Olsson et al. 2022)."""
