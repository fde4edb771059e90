"""What is written is true: the reference is what the code says, and every command helps."""

import importlib.util
import re
from pathlib import Path

import pytest
import rich_click as click

from bench import __main__ as bench
from cli.main import wirescribe

ROOT = Path(__file__).parent.parent


def test_the_reference_is_what_the_code_says():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs/reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert module.PATH.read_text() == module.reference(), "run `uv run python docs/reference.py`"


def commands(name, command):
    yield name, command
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            yield from commands(f"{name} {word}", inner)


@pytest.mark.parametrize(
    ("name", "command"), list(commands("wirescribe", wirescribe)), ids=lambda value: str(value)
)
def test_every_command_and_option_says_what_it_does(name, command):
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{name} {option.opts}"


def test_the_readme_names_only_commands_and_files_that_exist():
    readme = (ROOT / "README.md").read_text()
    known = {name for name, _ in commands("wirescribe", wirescribe)}
    for line in re.findall(r"`wirescribe ([a-z]+(?: [a-z]+)?)", readme):
        words = line.split()
        assert f"wirescribe {words[0]}" in known
        group = {name for name in known if name.startswith(f"wirescribe {words[0]} ")}
        if group and len(words) > 1:
            assert f"wirescribe {words[0]} {words[1]}" in known
    for link in re.findall(r"\]\(([^)]+)\)", readme):
        assert link.startswith("http") or (ROOT / link).exists()


@pytest.mark.parametrize("name", sorted(bench.BENCHES))
def test_every_benchmark_says_what_it_does_and_every_option_what_for(name, capsys):
    with pytest.raises(SystemExit) as ended:
        bench.main([name, "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    usage, _, options = said.partition("\noptions:\n")
    assert len(usage.split("\n\n")[1]) > 100
    assert options.count("(default:") == usage.count("[--")


def test_the_benchmarks_are_listed(capsys):
    assert bench.main([]) == bench.main(["--help"]) == 0
    assert bench.main(["nope"]) == 2
    printed = capsys.readouterr()
    assert all(printed.out.count(f"  {name} ") == 3 for name in bench.BENCHES)
    assert "there is no benchmark 'nope'" in printed.err
