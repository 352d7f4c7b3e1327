"""Control: heads whose outputs are turned down and up while the model runs, and what that does.

Which question this answers, with which control and by which rule: reports/beyond.md.
"""
