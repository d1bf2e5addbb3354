"""What every command has around it: help, errors and hints, exit codes, nothing heavy imported in vain."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer

import nadia
from nadia.cli import frame, groups, main
from support.command_line import run_nadia


@pytest.fixture
def odd_command(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """A group `odd` whose commands a test adds."""
    app = groups.command_group("Commands of a test.")
    app.callback()(lambda: None)
    module = type(sys)("odd_commands")
    module.app = app  # type: ignore[attr-defined]  # a module is made on the spot
    monkeypatch.setitem(sys.modules, "odd_commands", module)
    monkeypatch.setattr(groups, "GROUPS", {"odd": "odd_commands"})
    return app


def test_the_version_is_the_packages(tmp_path: Path) -> None:
    outcome = run_nadia("--version", cwd=tmp_path)

    assert (outcome.code, outcome.out, outcome.err) == (0, f"nadia {nadia.__version__}\n", "")


def test_asking_for_the_version_imports_neither_the_frame_nor_pydantic(tmp_path: Path) -> None:
    program = (
        "import sys; from nadia.cli import main; main(['--version']); "
        "print([name for name in ('typer', 'pydantic', 'structlog') if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[1] == "[]"


def test_help_imports_no_library_that_only_some_commands_use(tmp_path: Path) -> None:
    program = (
        "import sys; from nadia.cli import main; main(['--help']); heavy = ('fastapi', 'openai', "
        "'uvicorn', 'alembic', 'httpx', 'telethon', 'mcp'); print([name for name in heavy if name in sys.modules])"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert result.stdout.splitlines()[-1] == "[]"


def test_nadia_alone_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: nadia" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["confg"], "there is no command 'confg'", "did you mean `nadia config`?"),
        (["zzz"], "there is no command 'zzz'", "`nadia --help` lists the commands"),
        (["config", "shwo"], "No such command 'shwo'", "`nadia config --help`"),
        (["config", "show", "--jsno"], "No such option", "`nadia config show --help`"),
        (["config"], "Missing command", "`nadia config --help`"),
        (["--nonsense"], "No such option", "`nadia --help`"),
    ],
)
def test_a_wrong_command_line_is_explained_on_two_lines(
    arguments: list[str], error: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert second.startswith("hint: ")
    assert hint in second


def test_an_unexpected_error_is_short_and_its_traceback_only_for_debugging(
    odd_command: typer.Typer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NADIA_DEBUG", raising=False)

    @odd_command.command()
    def burst() -> None:
        raise ValueError("connecting to postgresql://u:hunter2@h failed")

    assert main(["odd", "burst"]) == 1
    short = capsys.readouterr().err
    assert main(["--debug", "odd", "burst"]) == 1
    long = capsys.readouterr().err
    monkeypatch.setenv("NADIA_DEBUG", "1")
    assert main(["odd", "burst"]) == 1
    by_variable = capsys.readouterr().err

    assert "ValueError" in short
    assert "incident" in short
    assert "Traceback" not in short
    assert "Traceback" in long
    assert "Traceback" in by_variable
    assert "hunter2" not in short + long + by_variable


def test_what_a_command_exits_with_is_the_exit_code(odd_command: typer.Typer) -> None:
    @odd_command.command()
    def unwell() -> None:
        raise typer.Exit(1)

    @odd_command.command()
    def well() -> None:
        """Return nothing."""

    assert main(["odd", "unwell"]) == 1
    assert main(["odd", "well"]) == 0


def test_interruption_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    program = (
        "import sys, time, types; from nadia.cli import groups; app = groups.command_group('x'); "
        "app.callback()(lambda: None); app.command('wait')(lambda: (print('waiting', flush=True), time.sleep(60))); "
        "module = types.ModuleType('odd'); module.app = app; sys.modules['odd'] = module; "
        "groups.GROUPS = {'odd': 'odd'}; from nadia.cli import main; sys.exit(main(['odd', 'wait']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    program = "import sys; from nadia.cli import main; sys.exit(main(['config', 'env-example']))"
    closer = threading.Timer(0, os.close, [reader])
    closer.start()
    closer.join()

    result = subprocess.run(
        [sys.executable, "-c", program], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)

    assert (result.returncode, result.stderr) == (0, "")


def test_every_group_has_a_module_with_commands() -> None:
    root = frame.app
    assert root.info.name == "nadia"
    for name, module in groups.GROUPS.items():
        app = __import__(module, fromlist=["app"]).app
        assert isinstance(app, typer.Typer), name
