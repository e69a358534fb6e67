"""The deployment files in examples/ name commands, options and files that exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relay_sdk.local.__main__ import command_line

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
UNITS = sorted(EXAMPLES.glob("*.service"))


def commands(text: str) -> list[list[str]]:
    """Return the commands in a text, with their arguments."""
    return [shlex.split(line) for line in re.findall(r"relay-sdk ([a-z].*)", text)]


def check(command: list[str]) -> None:
    name, *arguments = command
    if name == "serve":
        command_line("relay-sdk serve", None).parse_args(arguments)
        return
    shown = [sys.executable, "-m", "relay_sdk.cli", name, "--help"]
    assert subprocess.run(shown, capture_output=True, check=False).returncode == 0


def test_the_compose_file_has_what_it_says() -> None:
    text = (EXAMPLES / "compose.yaml").read_text()
    services = yaml.safe_load(text)["services"]

    assert services.keys() == {"postgres", "relay", "worker"}
    assert services["relay"]["deploy"]["replicas"] == 2
    for service in services.values():
        assert set(service.get("depends_on", ())) <= services.keys()
    for command in commands(text):
        check(command)
    program = services["worker"]["command"][-1].rpartition("python ")[2]
    assert (EXAMPLES / program).exists()
    assert services["worker"]["environment"]["RELAY_URL"] == "http://relay:8080"
    assert services["relay"]["hostname"] == "relay"  # else it answers 403


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_start_commands_that_exist(unit: Path) -> None:
    (command,) = commands(unit.read_text())
    check(command)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/relay/bin/relay-sdk", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False
    )
    assert unit.name not in done.stderr
