"""Checks the set-up scripts with stand-ins for Python, pip and apt-get: what runs, when, and what never.

The real installation is what CI begins with.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.leftovers import unique_name
from tests.support.postgres import SCRATCH

ROOT = Path(__file__).parents[1]
TOOLS = [
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dirname",
    "env",
    "flock",
    "mkdir",
    "rm",
    "rmdir",
    "sha256sum",
    "sleep",
    "sort",
]
TEST_PROGRAMS = [
    "initdb",
    "ip",
    "faketime",
    "ps",
    "openssl",
    "git",
    "rsync",
    "ansible",
    "curl",
    "psql",
    "chromium",
    "ssh",
    "sshd",
    "proxychains4",
    "less",
    "zsh",
    "fish",
]

PYTHON = r"""#!/bin/bash
here=CHECKOUT
case "$*" in
    *version_info*) [[ ! -e $here/python-is-old ]] ;;
    -V) echo "Python 3.11.0" ;;
    "-m venv"*) rm -rf "${@: -1}"; mkdir -p "${@: -1}/bin"; cp "$0" "${@: -1}/bin/python"; echo venv >>"$here/log" ;;
    "-m pip install"*)
        mkdir "$here/busy" || exit 9
        echo "pip ${@: -1}" >>"$here/log"
        sleep 0.2
        rmdir "$here/busy"
        if [[ -e $here/pip-is-broken ]]; then echo "no such version"; exit 1; fi
        printf '#!/bin/bash\necho "edgectl $*"\n' >"${0%/*}/edgectl"
        chmod +x "${0%/*}/edgectl" ;;
    "-m pytest"*) echo "pytest ${*:3}"; exit 5 ;;
esac
"""
APT_GET = '#!/bin/bash\necho "apt-get $*" >>CHECKOUT/log\n'


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A checkout of its own, with a PATH that holds nothing but what the test put there."""

    path: Path
    programs: Path
    elsewhere: Sequence[str] = ()
    """More directories with programs."""

    def add_program(self, name: str, text: str = "#!/bin/bash\n") -> None:
        (self.programs / name).write_text(text.replace("CHECKOUT", str(self.path)))
        (self.programs / name).chmod(0o755)

    def start(self, *argv: str, user: str | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.path / argv[0], *argv[1:]],
            env={"PATH": ":".join([str(self.programs), *self.elsewhere]), "HOME": "/nonexistent"},
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str, user: str | None = None) -> tuple[int, str, str]:
        with self.start(*argv, user=user) as process:
            stdout, stderr = process.communicate(timeout=30)
            return process.returncode, stdout, stderr

    def take_log(self) -> list[str]:
        """Return what the stand-ins did since the last call."""
        log = self.path / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def tree(self) -> list[Path]:
        return sorted(self.path.rglob("*"))


@pytest.fixture
def checkout() -> Iterator[Checkout]:
    # Not tmp_path: another user must be able to enter it.
    base = SCRATCH / unique_name()
    made = Checkout(path=base / "checkout", programs=base / "programs")
    made.programs.mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", made.path / "scripts")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, made.path)
    for tool in TOOLS:
        (made.programs / tool).symlink_to(shutil.which(tool) or f"/usr/bin/{tool}")
    made.add_program("python3", PYTHON)
    made.add_program("apt-get", APT_GET)
    yield made
    shutil.rmtree(base)


@pytest.fixture
def complete(checkout: Checkout) -> Checkout:
    """A checkout on a machine that lacks no system package."""
    for program in TEST_PROGRAMS:
        checkout.add_program(program)
    return checkout


def ordinary_user() -> str | None:
    return "nobody" if os.geteuid() == 0 else None


def test_an_ordinary_user_gets_one_line_to_paste_and_nothing_changes(checkout: Checkout) -> None:
    before = checkout.tree()
    code, stdout, stderr = checkout.run("scripts/setup", "test", user=ordinary_user())
    assert code == 1
    assert stdout == ""
    explanation, line = stderr.splitlines()
    assert "nothing was changed" in explanation
    assert line.startswith("sudo apt install --no-install-recommends ")
    assert line.endswith("git rsync ansible-core curl openssh-client proxychains4 less zsh fish")
    assert checkout.tree() == before


@pytest.mark.root
def test_root_installs_exactly_what_is_missing(complete: Checkout) -> None:
    (complete.programs / "faketime").unlink()
    (complete.programs / "git").unlink()
    assert complete.run("scripts/setup", "test")[0] == 0
    update, install, *rest = complete.take_log()
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends faketime git")
    assert rest == ["venv", "pip .[cli,server,dev]"]


def test_the_second_run_installs_nothing(complete: Checkout) -> None:
    assert complete.run("scripts/setup", "test")[0] == 0
    assert complete.take_log() == ["venv", "pip .[cli,server,dev]"]
    assert complete.run("scripts/setup", "test") == (0, "", "")
    assert complete.run("scripts/setup", "run") == (0, "", "")
    assert complete.take_log() == []


def test_running_needs_neither_the_tests_packages_nor_theirs_of_the_system(checkout: Checkout) -> None:
    assert checkout.run("scripts/setup", "run", user=None)[0] == 0
    assert checkout.take_log() == ["venv", "pip .[cli,server]"]


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "edge_new/__init__.py"])
def test_a_changed_requirement_or_a_new_package_installs_again(complete: Checkout, name: str) -> None:
    complete.run("scripts/setup", "run")
    complete.take_log()
    changed = complete.path / name
    changed.parent.mkdir(exist_ok=True)
    with changed.open("a") as file:
        file.write("\n")
    complete.run("scripts/setup", "run")
    assert complete.take_log() == ["pip .[cli,server]"]


def test_a_failed_install_shows_why_and_is_repeated_next_time(complete: Checkout) -> None:
    (complete.path / "pip-is-broken").touch()
    code, _, stderr = complete.run("scripts/setup", "run")
    assert code == 1
    assert stderr.startswith("no such version\nsetup: installing the Python packages failed")
    (complete.path / "pip-is-broken").unlink()
    complete.take_log()
    assert complete.run("scripts/setup", "run")[0] == 0
    assert complete.take_log() == ["pip .[cli,server]"]


def test_a_moved_checkout_gets_a_new_venv(complete: Checkout) -> None:
    complete.run("scripts/setup", "run")
    complete.take_log()
    moved = Checkout(path=complete.path.with_name("moved"), programs=complete.programs)
    complete.path.rename(moved.path)
    moved.add_program("python3", PYTHON)
    moved.run("scripts/setup", "run")
    assert moved.take_log() == ["venv", "pip .[cli,server]"]


def test_the_distributions_python_is_preferred_to_one_that_comes_first(complete: Checkout) -> None:
    distribution = complete.path.with_name("distribution")
    distribution.mkdir()
    program = distribution / "python3"
    program.write_text(PYTHON.replace("3.11.0", "3.11.99").replace("CHECKOUT", str(complete.path)))
    program.chmod(0o755)
    _, stdout, _ = replace(complete, elsewhere=[f"/usr/bin/../..{distribution}"]).run("scripts/setup", "run")
    assert "making .venv with Python 3.11.99\n" in stdout
    assert complete.take_log() == ["venv", "pip .[cli,server]"]


def test_a_system_without_a_usable_python_is_told_which_packages_bring_one(checkout: Checkout) -> None:
    (checkout.path / "python-is-old").touch()
    code, _, stderr = checkout.run("scripts/setup", "run", user=ordinary_user())
    assert code == 1
    assert stderr.splitlines()[-1].endswith("-venv")
    assert not (checkout.path / ".venv").exists()


def test_two_at_once_install_once(complete: Checkout) -> None:
    first, second = complete.start("scripts/setup", "run"), complete.start("scripts/setup", "run")
    with first, second:
        assert (first.wait(30), second.wait(30)) == (0, 0)
    assert complete.take_log() == ["venv", "pip .[cli,server]"]


def test_an_unknown_purpose_is_a_usage_error(checkout: Checkout) -> None:
    assert checkout.run("scripts/setup", "dance")[0] == 2


def test_help_of_quickstart_changes_nothing(checkout: Checkout) -> None:
    before = checkout.tree()
    code, stdout, _ = checkout.run("scripts/quickstart", "--nodes", "2", "--help")
    assert (code, stdout.split()[:2]) == (0, ["usage:", "./scripts/quickstart"])
    assert checkout.tree() == before


def test_quickstart_hands_its_arguments_to_the_demo(checkout: Checkout) -> None:
    code, stdout, _ = checkout.run("scripts/quickstart", "--nodes", "5")
    assert (code, stdout.splitlines()[-1]) == (0, "edgectl demo up --nodes 5")


def test_the_test_script_passes_arguments_on_and_the_exit_code_back(complete: Checkout) -> None:
    code, stdout, _ = complete.run("scripts/test", "-k", "two words")
    assert (code, stdout.splitlines()[-1]) == (5, "pytest -n auto --maxprocesses 4 --dist loadfile -k two words")
