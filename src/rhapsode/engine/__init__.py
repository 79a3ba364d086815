"""The compiled engine: networks, usual filters and draws on one core.

It needs no torch. Importing this package is fast; the code that compiles is in
`rhapsode.engine.compiled_predictor`.
"""
