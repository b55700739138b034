"""Three matrix products over a range of sizes, beside what the device can do at most.

    python examples/roofline.py [--sizes 32,64,128] [--save roofline.png]

Prints a table; with --save, draws throughput and the roofline (needs matplotlib: pip install
'pymetal[plot]'). On the software device the figures are those of a CPU.
"""

import argparse
from pathlib import Path

import numpy as np

import pymetal
from pymetal.find import find

THREADGROUP = (16, 16, 1)


def measured(name, lengths, geometry, seconds):
    """What measures the shipped product `name` at a size; `lengths` are its arguments after B."""
    file, _, function = name.partition(":")
    kernel = pymetal.compile(find(file).path).kernel(function or file)

    def one(n):
        rng = np.random.default_rng(n)
        a, b = (rng.standard_normal((n, n), dtype=np.float32) for _ in range(2))
        grid, threadgroup = geometry(n)
        return pymetal.bench(
            kernel,
            pymetal.output((n, n)),
            a,
            b,
            *[n] * lengths,
            grid=grid,
            threadgroup=threadgroup,
            flops=2 * n**3,
            seconds=seconds,
        )

    return one


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="32,64,128,256", help="sizes of the matrices")
    parser.add_argument("--seconds", type=float, default=0.1, help="how long to measure each")
    parser.add_argument("--save", type=Path, help="where to save the picture")
    options = parser.parse_args()

    products = {
        "naive": measured("matmul", 1, lambda n: ((n, n), THREADGROUP), options.seconds),
        "tiled": measured("matmul_tiled", 3, lambda n: ((n, n), THREADGROUP), options.seconds),
        "simdgroup matrices": measured(
            "matmul_simdgroup:matmul_simdgroup_blocked",
            3,
            lambda n: ((128 * -(-n // 64), -(-n // 64)), (128, 1)),
            options.seconds,
        ),
    }
    report = pymetal.perf_report(
        products,
        [int(size) for size in options.sizes.split(",")],
        title=f"float32 matrix products on {pymetal.device().name}",
        size_name="n",
        path=options.save,
    )
    print(report)


if __name__ == "__main__":
    main()
