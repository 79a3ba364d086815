"""Calls that differ between systems stand in few files, and each file works without them."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rhapsode
from rhapsode import compiling
from rhapsode.engine import packed_weights
from rhapsode.workflows.runs.run_folder import RunFolder
from tests.other_systems import WindowsSys, faults

SOURCE = Path(rhapsode.__file__).parent
PLACES = {
    # Other systems: the files are the same, but a folder cannot be synced, and modes differ.
    # Windows has no numbers of users, and takes every folder for one that can be written.
    "files.py": {
        "os.open", "os.fsync", "Path.chmod", "Path.replace", "Path.unlink", "os.access", "os.W_OK",
        "os.getuid", "sys.platform"},
    "workflows/runs/kept_members.py": {"Path.unlink"},
    "workflows/runs/run_folder.py": {
        "os.fsync", "Path.chmod", "Path.rename", "Path.is_symlink", "Path.unlink"},
    # A cache: nothing in it is replaced, renamed or removed while it is open or mapped.
    "data/store.py": {"os.fsync", "Path.rename", "Path.replace", "Path.unlink", "numpy.memmap"},
    "data/texts.py": {"os.fsync", "Path.rename", "shutil.rmtree"},
    "counts/suffix_file.py": {"numpy.memmap"},
    "modalities/ids/modality.py": {"Path.unlink"},
    "workflows/runs/repeat.py": {"Path.rmdir"},
    "data/sources/folders.py": {"Path.is_symlink"},
    "data/sources/blob.py": {"stat.S_ISFIFO"},
    # Large pages, where the system has them.
    "engine/packed_weights.py": {"import mmap", "mmap.mmap", "sys.platform"},
    "compiling.py": {"os.sched_getaffinity", "sys.platform"},
    # The allocator of GNU, where the process has it.
    "training/machine.py": {"import ctypes"},
    # SIGINT and SIGTERM, which every system has.
    "workflows/runs/training.py": {"import signal", "signal.signal", "signal.raise_signal"},
    "cli/play_screen.py": {"import signal", "signal.signal", "import readline"},
    "training/threads/other_programs.py": {"sys.platform", "os.sysconf", "/proc/stat"},
    "cli/process.py": {"sys.platform", "os.sysconf", "/proc/self/stat", "/proc/uptime",
                       "os.dup2", "os.open"},
    "cli/console.py": {"os.name"},
    # A limit of memory, where the system has it; the separator of paths for a child process.
    "generation/filters/automaton_process.py": {"import resource", "sys.platform"},
    "generation/filters/constraint.py": {"os.pathsep"},
    # The event loop goes before the workers; elsewhere they are equals.
    "serving/writing/worker.py": {
        "sys.platform", "os.setpriority", "os.getpriority", "os.PRIO_PROCESS"},
    # The server ends a run as Ctrl-C does; its files are replaced while they are closed.
    "serving/run_server.py": {"import signal"},
    "serving/page/training_process.py": {"import signal", "signal.signal"},
    "serving/page/uploads.py": {"Path.rmdir", "Path.unlink"},
    "serving/states/state_store.py": {"os.getpid", "Path.replace", "Path.unlink"},
}  # fmt: skip
"""Each file with what it uses that another system lacks or does otherwise."""

MODULES = (
    "ctypes", "curses", "fcntl", "grp", "mmap", "msvcrt", "multiprocessing", "posix", "pty",
    "pwd", "readline", "resource", "select", "signal", "syslog", "termios", "tty", "winreg",
)  # fmt: skip
ABSENT = tuple(name for name in MODULES if name not in ("ctypes", "mmap", "multiprocessing", "posix", "select", "signal"))  # fmt: skip
"""Modules that a Python of Windows does not have, and one of ours must not need."""
PORTABLE = (
    "os.cpu_count", "os.environ", "os.devnull", "os.close", "os.listdir", "os.SEEK_END", "os.O_RDONLY",
    "os.O_WRONLY", "stat.S_ISREG", "stat.S_ISLNK", "shutil.copyfileobj", "shutil.copyfile", "shutil.get_terminal_size",
    "signal.SIGINT", "signal.SIGTERM", "signal.SIG_DFL", "signal.default_int_handler",
    "mmap.MADV_HUGEPAGE",
)  # fmt: skip
ROOMS = ("os", "stat", "shutil", "signal", "mmap")
METHODS = ("chmod", "rename", "unlink", "symlink_to", "hardlink_to", "readlink", "is_symlink", "rmdir", "touch")  # fmt: skip


def trees() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path.relative_to(SOURCE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def uses(tree: ast.AST) -> Iterator[str]:
    """Names of what depends on the system."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom):
            room = (node.module or "").split(".")[0]
            if room in MODULES:
                yield f"import {room}"
            if room in ROOMS:
                yield from (f"{room}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in MODULES and node.value == "readline":
                yield f"import {node.value}"
            if re.match(r"/(proc|dev|sys|tmp|etc)\b", node.value):
                yield node.value
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            name = f"{owner}.{node.attr}"
            if name in ("sys.platform", "np.memmap") or (owner in ROOMS and name not in PORTABLE):
                yield name.replace("np.", "numpy.")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            method = node.func.attr
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            one = (
                len(node.args) == 1
                and not node.keywords
                and not ast.unparse(node.args[0]).isupper()
            )
            named = method in METHODS and not (node.args and ast.unparse(node.args[0])[0] in "'\"")
            if named or (method == "replace" and one):
                yield f"Path.{method}"


def test_what_depends_on_the_system_stands_in_these_files() -> None:
    found = {name: set(uses(tree)) for name, tree in trees()}
    assert {name: calls for name, calls in found.items() if calls} == PLACES


def text_files(tree: ast.AST) -> Iterator[str]:
    """Files of text whose encoding or line ends are left to the system."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        keywords = {each.arg for each in node.keywords}
        modes = [
            a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        mode = modes[-1] if modes and re.fullmatch("[rwax][bt+]*", modes[-1]) else "r"
        opens = name == "open" and "b" not in mode and (modes or keywords)
        if (opens or name in ("read_text", "write_text")) and "encoding" not in keywords:
            yield f"{node.lineno}: {name} without an encoding"
        writes = (opens and mode[0] != "r") or name == "write_text"
        # JSON of one line has no line end.
        one_line = name == "write_text" and ast.unparse(node.args[0]).startswith("json.dumps(")
        null = ast.unparse(node.args[0]) == "os.devnull" if node.args else False
        if writes and not ({"newline"} & keywords or one_line or null):
            yield f"{node.lineno}: {name} without newline="


def test_text_has_one_encoding_and_one_line_end_on_every_system() -> None:
    assert not [f"{name}:{fault}" for name, tree in trees() for fault in text_files(tree)]


def test_file_names_of_the_package_work_on_every_file_system() -> None:
    assert not faults(SOURCE)


def test_every_module_loads_without_those_that_windows_lacks() -> None:
    program = f"""
import importlib, os, pkgutil, signal, sys
import torch, numba, scipy.special, tokenizers
sys.modules.update(dict.fromkeys({ABSENT!r}, None))
for name in ("fork", "forkpty", "sched_getaffinity", "sysconf", "getuid", "mkfifo", "killpg", "O_DIRECTORY"):
    delattr(os, name)
for name in ("SIGKILL", "SIGALRM", "SIGUSR1", "pthread_sigmask", "alarm"):
    delattr(signal, name)
import rhapsode
names = [each.name for each in pkgutil.walk_packages(rhapsode.__path__, "rhapsode.")]
for name in names:
    if name != "rhapsode.__main__":
        importlib.import_module(name)
print(len(names))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert int(done.stdout or 0) > 200, done.stderr


def test_weights_are_aligned_without_large_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [np.arange(1 << 20, dtype=np.float32), np.arange(5, dtype=np.float32)]
    here = packed_weights._joined(parts)
    monkeypatch.setattr(packed_weights, "sys", WindowsSys())
    monkeypatch.delattr(packed_weights, "mmap")
    there = packed_weights._joined(parts)
    assert there.ctypes.data % 64 == 0
    np.testing.assert_array_equal(here, there)


def test_cores_are_counted_where_a_process_may_use_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "sys", WindowsSys())
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert compiling.cores() == 1


def test_a_run_of_a_long_name_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.place(None, ["書" * 85 + ".txt"])
    folder.create({})
    assert folder.config.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_types_hold_on_other_systems(system: str, tmp_path: Path) -> None:
    """The stubs of the standard library say what a system lacks."""
    root = SOURCE.parent.parent
    command = [sys.executable, "-m", "mypy", "--platform", system, "--cache-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_kernels_need_no_instructions_of_one_processor(tmp_path: Path) -> None:
    """Compiled for a processor without AVX, as for one of another make."""
    program = """
import rhapsode as rh
model = rh.load("tests/golden/models/lstm")
asked = dict(length=40, seed=1, temperature=0.0)
there = {way: str(model.generate("the ", weights=way, **asked)) for way in ("float32", "bf16", "int8")}
assert there["float32"] == model.generate("the ", engine="torch", **asked)
print(len(there["bf16"]), len(there["int8"]))
"""
    own = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=SOURCE.parent.parent,
        env={**os.environ, **own},
    )
    assert done.stdout == "44 44\n", done.stderr
