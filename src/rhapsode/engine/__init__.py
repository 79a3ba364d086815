"""The engine that needs no torch: networks, the usual filters and the draw as compiled code, on one core.

This face is light; what compiles lies behind `rhapsode.engine.compiled_predictor`.
"""
