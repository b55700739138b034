"""The metal device: Apple's GPU through metal-cpp, compiled by Apple's own compiler.

`native/metal` talks to Metal; here its reflection, diagnostics and errors become the shared types,
so that everything above a device is the same on both.
"""
