"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""

from rhapsode.workflows.continuing import Continuation, Piece
from rhapsode.workflows.model import Model, load

__all__ = ["Continuation", "Model", "Piece", "load"]
