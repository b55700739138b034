"""The figures as text."""

from __future__ import annotations

from versus.contest import PEERS, Row
from versus.metal import NAME

RATIO_GOAL = 0.5
STREAM_GOAL = 0.9
SCALING_GOAL = 1.9


def lines(rows: list[Row]) -> list[str]:
    """A table in Markdown: milliseconds by peer, then ratios with their goals."""
    heads = ["kernel", *(f"{peer}, ms" for peer in PEERS)]
    heads += [f"of best GPU peer (<= {RATIO_GOAL})", "of STREAM, BLAS", "threads scale", "missed"]
    result = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [row.name, *(_ms(row.ms.get(peer)) for peer in PEERS)]
        cells.append("" if row.ratio is None else f"{row.ratio:.2f}")
        cells.append(_bound(row))
        cells.append(f"{row.one_thread_ms / row.ms[NAME]:.2f}" if row.one_thread_ms else "")
        cells.append(", ".join(missed(row)))
        result.append("| " + " | ".join(cells) + " |")
    return result


def missed(row: Row) -> list[str]:
    """The goals that a row does not reach."""
    found = []
    if row.ratio is not None and row.ratio > RATIO_GOAL:
        found.append("peer" if row.ratio <= 1 else "PEER")
    if row.part_of_stream is not None and row.part_of_stream < STREAM_GOAL:
        found.append("STREAM")
    if row.part_of_blas is not None and row.part_of_blas < row.of_blas:
        found.append("BLAS")
    return found


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _bound(row: Row) -> str:
    if row.part_of_stream is not None:
        return f"STREAM {row.part_of_stream:.0%} (>= {STREAM_GOAL:.0%})"
    if row.part_of_blas is not None:
        return f"BLAS {row.part_of_blas:.0%} (>= {row.of_blas:.0%})"
    return ""
