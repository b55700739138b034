"""PyMetal's software device beside other ways to run the same computation on this processor.

problem    what is computed, how each peer is told, what is right
matmuls, rows, whole
           the problems by subject
metal, opencl, loops, arrays
           a peer each: PyMetal, OpenCL's platforms, numba, NumPy; STREAM is in loops
contest    interleaved runs, medians, verified results
table, plot
           what is shown
"""
