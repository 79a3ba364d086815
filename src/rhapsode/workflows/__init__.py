"""Plain functions that wire the rooms below: this is the Python API.

`train` loads torch when it is called for; the rest loads it when something is predicted.
"""
