"""Exit codes: one table, and every error in it."""

import importlib
import pkgutil

import pytest

import nadia
from nadia.cli.exit_codes import MEANINGS, ExitCode, exit_code_for
from nadia.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NadiaError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NadiaError("x"), 1),
        (RuntimeError("x"), 1),
        (ConfigurationError("x"), 2),
        (InvalidInputError("x", field="y"), 2),
        (NotFoundError("x"), 2),
        (UnavailableError("x"), 3),
        (RefusedError("x"), 4),
        (ConflictError("x"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_kind_of_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code_for(error) == code


def test_a_second_nadia_on_one_home_is_a_refusal() -> None:
    errors = importlib.import_module("nadia.embedded.errors")

    assert exit_code_for(errors.HomeInUseError("taken", pid=1)) is ExitCode.REFUSED


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert [code.value for code in ExitCode] == [0, 1, 2, 3, 4, 130]


def test_every_error_of_the_product_is_a_nadia_error() -> None:
    """One that is not would end as an incident, with no remedy for the person who meets it."""
    strays = [
        f"{module.name}.{name}"
        for module in pkgutil.walk_packages(nadia.__path__, "nadia.")
        if module.name.endswith(".errors")
        for name, value in vars(importlib.import_module(module.name)).items()
        if isinstance(value, type) and value.__module__ == module.name
        if issubclass(value, Exception) and not issubclass(value, NadiaError)
    ]

    assert strays == []
