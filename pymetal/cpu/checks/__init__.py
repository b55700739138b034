"""Checked runs: kernels instrumented for the sanitizer of the reference engine.

instrument   calls of the checker before each access; arithmetic: before shifts and conversions
objects      what a pointer was made from
locations    debug information -> lines of the source
pipeline     compiles, launches and tells what was found     (native/cpu/checks.h finds it)
"""
