"""The address of a home's pages, its identity, and texts that become unusable while it runs."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nadia.app.address import address_of, published_address
from nadia.app.process_name import installation_name
from nadia.drafting.texts import OperatorText
from nadia.errors import UnavailableError
from nadia.settings import Config


def config(home: Path, port: str = "0") -> Config:
    home.mkdir(mode=0o700, exist_ok=True)
    return Config.from_env({"NADIA_HOME": str(home), "NADIA_WEB_PORT": port}, dotenv=None)


def test_a_port_that_the_system_chose_is_known_while_pages_are_served(tmp_path: Path) -> None:
    settings = config(tmp_path / "home")
    with published_address(settings, "http://127.0.0.1:4711"):
        assert address_of(settings) == "http://127.0.0.1:4711"
        assert (settings.home / "url").stat().st_mode & 0o777 == 0o600

    with pytest.raises(UnavailableError, match="NADIA_WEB_PORT is 0"):
        address_of(settings)


def test_the_address_of_a_later_process_is_left_alone(tmp_path: Path) -> None:
    settings = config(tmp_path / "home")
    with published_address(settings, "http://127.0.0.1:1"):
        later = published_address(settings, "http://127.0.0.1:2")
        later.__enter__()

    assert address_of(settings) == "http://127.0.0.1:2"


def test_a_configured_port_needs_no_running_process(tmp_path: Path) -> None:
    assert address_of(config(tmp_path / "home", port="9000")) == "http://127.0.0.1:9000"


def test_homes_have_different_names_whatever_the_host_is_called(tmp_path: Path) -> None:
    one, other = config(tmp_path / "one"), config(tmp_path / "other")

    assert installation_name(one) == installation_name(one)
    assert installation_name(one) != installation_name(other)
    assert str(one.home) not in installation_name(one), "containers made alike share their paths"


def test_a_text_that_becomes_unusable_goes_on_as_it_was_and_is_logged_once(tmp_path: Path) -> None:
    file = tmp_path / "disclosure.txt"
    file.write_text("good")
    text = OperatorText(file, longest=10)
    assert text() == "good"

    with capture_logs() as logged:
        file.write_text("")
        assert [text(), text()] == ["good", "good"]
        file.unlink()
        assert [text(), text()] == ["good", "good"]
        file.write_text("better")
        assert text() == "better"
    assert [entry["event"] for entry in logged] == ["text.unusable"] * 2
