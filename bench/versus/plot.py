"""The figures as a picture: each peer's time over PyMetal's."""

from __future__ import annotations

from pathlib import Path

from versus.contest import PEERS, Row
from versus.metal import NAME


def save(rows: list[Row], path: Path, title: str) -> None:
    """Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    others = [p for p in PEERS if p != NAME and any(p in row.ms for row in rows)]
    height = 0.8 / len(others)
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(rows) + 1.5), layout="constrained")
    for k, peer in enumerate(others):
        shown = [(y, row.ms[peer] / row.ms[NAME]) for y, row in enumerate(rows) if peer in row.ms]
        axes.barh(
            [y + (k - (len(others) - 1) / 2) * height for y, _ in shown],
            [value - 1 for _, value in shown],
            height,
            left=1,  # to the right: PyMetal is faster
            label=peer,
        )
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.axvline(2, color="grey", linewidth=1, linestyle="--")
    ticks = [0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks], minor=False)
    axes.minorticks_off()
    axes.set_xlabel(
        "the peer's time over PyMetal's (dashed: the goal for peers that run GPU kernels)"
    )
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
