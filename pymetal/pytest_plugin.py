"""pytest's plugin: tests that take `metal_device` run on each device present, or on `--device`.

Installed with PyMetal as an entry point of pytest. It imports the rest of PyMetal only for tests
that take the fixture.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

OPTION = "--device"
# Not "device", which options of other projects are called.
DESTINATION = "metal_devices"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None, object, object]:
    """Add the option after everybody else: whoever has one of that name keeps it."""
    result = yield
    try:
        _, unknown = parser.parse_known_and_unknown_args([f"{OPTION}=cpu"])
    except pytest.UsageError:
        unknown = []
    if unknown:
        parser.addoption(
            OPTION,
            action="append",
            dest=DESTINATION,
            metavar="NAME",
            help="run tests that take metal_device on this device of PyMetal (repeatable); "
            "default: on each one present",
        )
    return result


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "metal_device" in metafunc.fixturenames:
        metafunc.parametrize("metal_device", _names(metafunc.config), indirect=True)


@pytest.fixture
def metal_device(request: pytest.FixtureRequest) -> str:
    """The name of a Metal device: the test runs once for each one present."""
    name: str = request.param
    return name


def _names(config: pytest.Config) -> list[str]:
    from pymetal.devices import device_names
    from pymetal.errors import DeviceError

    wanted: list[str] | None = config.getoption(DESTINATION, None)
    try:
        present = device_names()
    except DeviceError as error:
        raise pytest.UsageError(str(error)) from None
    if wanted is None:
        return list(present)
    for name in wanted:
        if name not in present:
            listed = ", ".join(present)
            raise pytest.UsageError(f"{OPTION} {name}: there is no such device; there are {listed}")
    return list(dict.fromkeys(wanted))
