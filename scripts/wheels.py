"""Prints for which systems and Pythons pip finds wheels of the core dependencies, at the pinned versions."""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
SYSTEMS = {
    "Linux x86-64": [f"manylinux_{version}_x86_64" for version in GLIBC] + ["manylinux2014_x86_64"],
    "Linux ARM64": [f"manylinux_{version}_aarch64" for version in GLIBC]
    + ["manylinux2014_aarch64"],
    "macOS ARM64": ["macosx_14_0_arm64"],
    "Windows x86-64": ["win_amd64"],
}
"""Tags of each system; the Linux of 2018 (glibc 2.28), macOS 14."""


def pinned() -> list[str]:
    """Core dependencies with their pinned versions, and what is compiled among their own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=~! ]", each)[0] for each in project["dependencies"]]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = {line.partition("==")[0].lower(): line for line in lines if "==" in line}
    known = {name.replace("_", "-"): line for name, line in versions.items()}
    extra = ("llvmlite", "hf-xet", "pyyaml", "markupsafe")  # what numba, tokenizers and torch need
    return [known[name] for name in (*names, *extra) if name in known] + (
        [] if "torch" in known else ["torch==2.13.0"]
    )


def missing(packages: list[str], python: str, tags: list[str]) -> list[str]:
    """Packages without a wheel; pip names one at a time.

    Nothing is installed: pip reads the index and the metadata of the wheels.
    """
    without: list[str] = []
    while True:
        asked = [package for package in packages if package not in without]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed",
                 "--target", folder, "--only-binary", ":all:", "--implementation", "cp", "--python-version", python,
                 *(word for tag in tags for word in ("--platform", tag)), *asked],
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip
        if not done.returncode:
            return without
        named = re.search(r"No matching distribution found for (\S+)", done.stderr)
        if named is None:
            raise SystemExit(done.stderr)
        without.append(named[1])


def main() -> int:
    """Print the table."""
    packages = pinned()
    print(f"asked for: {', '.join(packages)}\n")
    print(f"| | {' | '.join(f'Python {python}' for python in PYTHONS)} |")
    print("|---|" + "---|" * len(PYTHONS))
    for system, tags in SYSTEMS.items():
        cells = [missing(packages, python, tags) for python in PYTHONS]
        shown = [f"no {', '.join(cell)}" if cell else "all" for cell in cells]
        print(f"| {system} | {' | '.join(shown)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
