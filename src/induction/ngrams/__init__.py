"""Predictors that count n-grams of the training text, and how far a model is from them."""
