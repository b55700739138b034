"""`pymetal watch`: run a kernel whenever its file is saved."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymetal.cli import options, screen
from pymetal.cli.calling import takes_call
from pymetal.cli.run import Against, Roundings, result_facts, show_result

if TYPE_CHECKING:
    import numpy as np

    from pymetal.cli.call import Call, Result


@takes_call
def watch(
    call: Call,
    against: Against = None,
    roundings: Roundings = None,
    as_json: options.Json = False,
) -> None:
    """Run a kernel again whenever its file, its headers or its .npy inputs are saved.

    Shows the error or the result, the difference to the last result, and the
    time. Ctrl-C ends it. With --json, each run is one line.
    """
    with suppress(KeyboardInterrupt):
        _Watch(call, against, roundings, as_json).run()


class _Watch:
    """The runs, one after the other."""

    def __init__(
        self, call: Call, against: str | None, roundings: float | None, as_json: bool
    ) -> None:
        file, colon, function = call.kernel.partition(":")
        self._path = Path(file) if file.endswith((".metal", ".metallib")) else call.found().path
        # Always this file: if it is deleted, another of the same name must not take its place.
        self._call = replace(call, kernel=f"{self._path}{colon}{function}")
        self._against, self._roundings = against, roundings
        self._as_json = as_json
        self._failed = False
        self._last: Result | None = None

    def run(self) -> None:
        from pymetal.errors import Error
        from pymetal.watch import changes

        for _ in changes(self._files):
            start = time.perf_counter()
            try:
                self._turn(start)
                self._failed = False
            except Error as error:
                self._failed = True
                self._show_error(error, time.perf_counter() - start)

    def _files(self) -> Iterable[Path]:
        """What the next run depends on, as far as it can be told."""
        from pymetal.errors import Error
        from pymetal.library import read_source
        from pymetal.msl import local_includes
        from pymetal.source import CompileOptions

        files = {self._path, *(Path(i) for i in self._call.inputs if i.endswith(".npy"))}
        if self._path.suffix != ".metallib":
            with suppress(Error):
                given = CompileOptions(include_dirs=self._call.include_dirs)
                files.update(local_includes(read_source(self._path), given))
        if self._failed:  # perhaps because a header is missing: notice when it comes
            files.update({self._path.parent, *self._call.include_dirs})
        return files

    def _turn(self, start: float) -> None:
        from pymetal.cli.against import against as compare

        prepared = self._call.prepare()
        values = prepared.named() if self._against is not None else {}
        result = prepared.run()
        differences = (
            compare(self._against, values, result.arrays, self._roundings)
            if self._against is not None
            else []
        )
        changed = _changed(self._last, result)
        self._last = result
        seconds = time.perf_counter() - start
        if self._as_json:
            facts = result_facts(result, differences)
            screen.print_json({**facts, "changed": changed, "seconds": seconds}, indent=None)
            return
        self._headline()
        show_result(result, differences)
        for name, words in changed.items():
            screen.out().print(f"{name}: {words}", style="cyan")
        screen.out().print(f"{screen.seconds(seconds)} in all", style="dim")

    def _show_error(self, error: Any, seconds: float) -> None:
        if self._as_json:
            facts = {"ok": False, "error": screen.error_facts(error), "seconds": seconds}
            screen.print_json(facts, indent=None)
            return
        self._headline()
        screen.out().print(screen.error_text(error))
        screen.out().print(f"{screen.seconds(seconds)}; waiting for a change", style="dim")

    def _headline(self) -> None:
        screen.out().print(f"\n{time.strftime('%H:%M:%S')} {self._path.name}", style="bold blue")


def _changed(last: Result | None, result: Result) -> dict[str, str]:
    """For each result that was there before, how it differs from then."""
    if last is None:
        return {}
    return {
        name: _difference(last.arrays[name], array)
        for name, array in result.arrays.items()
        if name in last.arrays
    }


def _difference(before: np.ndarray[Any, Any], now: np.ndarray[Any, Any]) -> str:
    import numpy as np

    if before.shape != now.shape or before.dtype != now.dtype:
        return f"was {before.shape}, {before.dtype} in the last run"
    if before.tobytes() == now.tobytes():
        return "same as in the last run, bit for bit"
    if now.dtype.fields is not None:
        return "differs from the last run"
    old, new = before.astype(np.float64), now.astype(np.float64)
    with np.errstate(invalid="ignore"):
        same = (old == new) | (np.isnan(old) & np.isnan(new))
        distance = abs(new - old)[~same]
    largest = np.nan if np.isnan(distance).any() else distance.max(initial=0.0)
    return (
        f"{distance.size} of {now.size} elements differ from the last run, by {largest:.3g} at most"
    )
