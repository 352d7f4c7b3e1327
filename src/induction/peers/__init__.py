"""Models of this study in other libraries' form, to check against them and to use their tools.

None of them is needed by the study: `make test-extras` makes an environment that has them.
"""
