"""The chaos suite: a small study is harmed in many ways, and must come out the same to the bit.

`make chaos` makes a throw-away clone of the working tree, runs its study once undisturbed, and then
lets every trial of `trials.py` loose on a copy. `checkout.py` is such a copy and what must hold of
it, `harm.py` is what can be done to one.
"""
