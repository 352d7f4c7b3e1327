"""The parts of the web page that answer to a reader: attention explorer, prompts,
training slider, tables.

Each function gives a raw HTML block for an `output: asis` cell of the report; the PDF drops them.
Charts are Altair's; the scripts here only fill the controls and pass on what a reader chose.
Nothing is loaded from anywhere, and without JavaScript none of it is to be seen.
"""

from induction.report.interactive.explorer import explorer
from induction.report.interactive.page import scripts
from induction.report.interactive.prompts import prompt_explorer
from induction.report.interactive.training import training_slider

__all__ = ["explorer", "prompt_explorer", "scripts", "training_slider"]
