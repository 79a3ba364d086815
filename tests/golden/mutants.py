"""Small mistakes that the tests must notice, made again on demand.

    python tests/golden/mutants.py list
    python tests/golden/mutants.py check [--only N ...] [--src DIR] [--seconds S]

It needs an interpreter with what the package and its tests require. For every mutant `check` runs
the named tests on a copy of `src`, then on another copy with the mistake: they must pass without it
and fail with it. It ends with 1 unless every mutant is killed.

Code is found by what it says, whatever file of `src` it lies in, and so are tests that have left
their file.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

KILLED, SURVIVED = "killed", "SURVIVED"


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Arguments:
        number: its name.
        words: where it is, whatever the file, and what is changed.
        old: the code as it is; of white space it counts only that there is some.
        new: the code with the mistake.
        tests: what kills it, as "path::test" or "path::Class::test".
        within: classes and functions around it, where `old` may stand elsewhere too.
        keyword: what is run of these tests, as for `pytest -k`.
    """

    number: int
    words: str
    old: str
    new: str
    tests: tuple[str, ...]
    within: tuple[str, ...] = ()
    keyword: str = ""


MUTANTS = (
    Mutant(
        1,
        "mixture: network and order 0 exchange their weights",
        old="z_V[v] = own * z_V[v] + prior * prior_V[v]",
        new="z_V[v] = prior * z_V[v] + own * prior_V[v]",
        within=("def add_up",),
        tests=("tests/counts/test_experts.py::test_the_mixture_is_its_formula",),
    ),
    Mutant(
        2,
        "window predictor: reading sees one element more than the window holds",
        old="[:, -self.window :] count_B = np.minimum(state.count_B + time, self.window)",
        new="[:, -self.window - 1 :]\n"
        "        count_B = np.minimum(state.count_B + time, self.window + 1)",
        within=(
            "class Window",
            "def advance",
        ),
        tests=("tests/bundle/test_torch_predictor.py::test_a_window_is_all_that_counts",),
    ),
    Mutant(
        3,
        "log-density of a series predictor: the encoder's Jacobian is missing",
        old="numbers(log_prob_B1[:, 0]).astype(np.float64) + jacobian_B",
        new="numbers(log_prob_B1[:, 0]).astype(np.float64)",
        within=(
            "class ValueDistribution",
            "def log_prob",
        ),
        tests=("tests/bundle/test_series_predictor.py::test_losses_are_the_sums_of_single_steps",),
    ),
    Mutant(
        4,
        "scoring of a batch by the network: resets of rows are dropped",
        old="self.model(self.input(batch.inputs), state, reset_BT=batch.reset_BT)",
        new="self.model(self.input(batch.inputs), state, reset_BT=None)",
        within=("def read",),
        tests=("tests/bundle/test_network.py::test_the_log_probability_of_a_batch",),
    ),
    Mutant(
        5,
        "generating loop: a continuation ends one element behind its length",
        old="ends = rows.position + 1 >= jobs[index].length",
        new="ends = rows.position >= jobs[index].length",
        within=("def _written",),
        tests=("tests/generation/test_generate.py::test_lengths_are_kept_one_by_one",),
    ),
    Mutant(
        6,
        "filters of sample paths: every number of a step sees what the first one has written",
        old="written_RT = self._written_KRT[lane, :, : self.position]",
        new="written_RT = self._written_KRT[0, :, : self.position]",
        within=(
            "class Rows",
            "def context",
        ),
        tests=(
            "tests/bundle/test_series_predictor.py"
            "::test_filters_of_elements_narrow_every_step_of_every_number",
        ),
    ),
    Mutant(
        7,
        "DRY penalty: the mask that spares sequence breakers is dropped",
        old="longest_V[list(self._breakers)] = 0",
        new="longest_V[list(self._breakers)] += 0",
        within=(
            "class Dry",
            "def apply",
        ),
        tests=("tests/generation/test_filters.py::TestChain::test_the_outcome_is_the_literal_one",),
        keyword="dry",
    ),
    Mutant(
        8,
        "XTC: its coin is drawn from the lane of the draw itself",
        old="uniforms(context.seed, context.sequence_B, context.position_B, XTC_LANE)",
        new="uniforms(context.seed, context.sequence_B, context.position_B)",
        within=("class Xtc",),
        tests=("tests/generation/test_draw.py::test_frequencies_are_the_exact_distribution",),
        keyword="xtc_probability",
    ),
    Mutant(
        9,
        "compiled writing loop: an element written several times counts once for penalties",
        old="written_BV[b, element] += 1",
        new="written_BV[b, element] = 1",
        within=("def write_rows",),
        tests=(
            "tests/engine/test_compiled_writing.py"
            "::test_elements_are_those_of_the_loop_over_numpy_filters",
        ),
        keyword="frequency_penalty and lstm",
    ),
    Mutant(
        10,
        "compiled writing: elements written are not remembered",
        old="kept_B[b] += 1",
        new="kept_B[b] += 0",
        within=("def write_rows",),
        tests=(
            "tests/engine/test_compiled_mixture.py::test_what_is_read_and_written_is_remembered",
        ),
    ),
    Mutant(
        11,
        "compiled writing, rows that go on: places in the n-gram model are those of the first rows",
        old="else array[rows_R]",
        new='else array[: len(rows_R)] if name == "counted_0" else array[rows_R]',
        within=(
            "class _CompiledRows",
            "def select",
        ),
        tests=(
            "tests/engine/test_compiled_mixture.py::test_a_batch_of_64_writes_what_64_write_alone",
        ),
        keyword="gru",
    ),
    Mutant(
        12,
        "recurrent weights laid out for compiled code: the second bias is subtracted, not added",
        old="bias_G = bias_G + past_G",
        new="bias_G = bias_G - past_G",
        within=("def pack_recurrent",),
        tests=("tests/engine/test_compiled.py::test_log_probabilities_are_those_of_torch",),
        keyword="rnn",
    ),
    Mutant(
        13,
        "n-gram smoothing: the level below the highest uses occurrences in place of endings",
        old='by_endings = self.smoothing == "kneser_ney" and level < self.order',
        new='by_endings = self.smoothing == "kneser_ney" and level < self.order - 1',
        within=("def _smooth",),
        tests=("tests/counts/test_ngram.py::test_it_equals_the_slow_one",),
    ),
    Mutant(
        14,
        "continuations of prompts: all have sequence number 0, so that they draw alike",
        old="Job(prompts[number], index, length, under[number])",
        new="Job(prompts[number], 0, length, under[number])",
        within=("def continue_prompts",),
        tests=("tests/cli/test_generate.py::test_count_and_format",),
    ),
    Mutant(
        15,
        "turn of a played session: another attempt draws as the first one did",
        old="(written * ATTEMPTS + attempt) % (1 << 32)",
        new="(written * ATTEMPTS) % (1 << 32)",
        within=("def _keys",),
        tests=("tests/workflows/test_play.py::test_again_keeps_the_earlier_one",),
    ),
    Mutant(
        16,
        "cost of rounded weights: their loss and that of float32 are exchanged",
        old="for each in (rounded, predictor):",
        new="for each in (predictor, rounded):",
        within=("def loss_of_rounded",),
        tests=("tests/cli/test_engine.py::test_evaluate_tells_what_weights_of_fewer_bits_lose",),
    ),
    Mutant(
        17,
        "figures at the end of training: they are of the validation slice, not the test split",
        old='self.part(corpus, planned.settings, "test")',
        new='self.part(corpus, planned.settings, "validation")',
        within=("def _test_figures",),
        tests=("tests/cli/test_mixture.py::test_the_figures_are_what_one_finds_by_hand",),
    ),
    Mutant(
        18,
        "origins of a backtest: each series has one less than there is room for",
        old="(length - first - horizon) // step + 1",
        new="(length - first - horizon) // step",
        within=("def origins_of",),
        tests=("tests/workflows/series/test_model.py::test_origins_end_with_the_series",),
    ),
    Mutant(
        19,
        "stream of series: rows never start afresh",
        old="reset_BT[:, 0] = fresh",
        new="reset_BT[:, 0] = False",
        within=("def batch",),
        tests=(
            "tests/data/test_series_stream.py::test_a_row_goes_on_or_begins_afresh_at_a_window",
        ),
    ),
    Mutant(
        20,
        "training loop: parts of accumulated updates overlap with those of the update before",
        old="first = self.progress.step * accumulate",
        new="first = self.progress.step",
        within=("def _add_gradients",),
        tests=("tests/workflows/test_contexts.py::test_accumulated_batches_are_one_large_batch",),
    ),
    Mutant(
        21,
        "uniforms of sample paths: all numbers of a step share the first one's",
        old="uniforms(seeds, sequences, positions, lane)",
        new="uniforms(seeds, sequences, positions, 0)",
        within=(
            "class Rows",
            "def _uniforms",
        ),
        tests=(
            "tests/bundle/test_series_predictor.py"
            "::test_every_number_of_a_step_is_drawn_by_a_uniform_of_its_own",
        ),
    ),
    Mutant(
        22,
        "best of several: the draws of one continuation overlap with those of the next",
        old="first = number * settings.best_of",
        new="first = number",
        within=("def draw_best",),
        tests=("tests/generation/test_search.py::test_every_best_is_picked_from_draws_of_its_own",),
    ),
    Mutant(
        23,
        "backtest: a history holds the first value that is to come",
        old="values_TK[:count, number], values_TK[count:, number]",
        new="values_TK[: count + 1, number], values_TK[count:, number]",
        within=("def backtest",),
        tests=(
            "tests/workflows/series/test_model.py"
            "::test_a_backtest_knows_nothing_of_what_is_to_come",
        ),
    ),
    Mutant(
        24,
        "backtest: every number is scored with the first one's forecast",
        old="paths_BSHK[place, :, :steps, number]",
        new="paths_BSHK[place, :, :steps, 0]",
        within=("def backtest",),
        tests=(
            "tests/workflows/series/test_model.py"
            "::test_a_backtest_scores_every_number_by_its_own_forecast",
        ),
    ),
    Mutant(
        25,
        "rows that go on: what filters remember stays with the first rows",
        old="self.chain.select(states, rows_R) for states in self._states",
        new="states for states in self._states",
        within=(
            "class Rows",
            "def select",
        ),
        tests=(
            "tests/generation/test_generate.py::test_what_filters_remember_goes_on_with_its_row",
            "tests/generation/test_search.py"
            "::test_beams_keep_what_filters_remember_of_their_own_text",
        ),
    ),
    Mutant(
        26,
        "plan for series: one window is read before a forecast, not four",
        old="settings.data.run_up or RUN_UP_WINDOWS * training.window",
        new="settings.data.run_up or training.window",
        within=("def plan_series_run",),
        tests=(
            "tests/workflows/series/test_model.py::test_a_forecast_reads_four_windows_before_it",
        ),
    ),
    Mutant(
        27,
        "training on series: first weights are those of seed 0, whatever the seed",
        old="torch.manual_seed(seed)",
        new="torch.manual_seed(0)",
        within=("def fresh_network",),
        tests=("tests/workflows/series/test_model.py::test_the_seed_decides_the_first_weights",),
    ),
    Mutant(
        28,
        "least length: the end is refused to one element more",
        old="context.position_B < self._least",
        new="context.position_B <= self._least",
        within=("class MinLength",),
        tests=(
            "tests/generation/test_control.py"
            "::test_the_end_may_follow_the_last_element_that_min_length_asks_for",
        ),
    ),
)


PLUGIN = '''"""Refusal to test any other copy of the package."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest


def pytest_configure(config):
    src = Path(os.environ["MUTANT_SRC"])
    found = importlib.util.find_spec("rhapsode")
    if found is None or not Path(found.origin).resolve().is_relative_to(src):
        raise pytest.UsageError(f"rhapsode would not be imported from {src}")
    from hypothesis.configuration import set_hypothesis_home_dir

    set_hypothesis_home_dir(src.parent / "hypothesis")  # nothing of a mutant is remembered


def pytest_collection_finish(session):
    src = Path(os.environ["MUTANT_SRC"])
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "rhapsode"]
    files = [Path(module.__file__).resolve() for module in modules if module.__file__]
    if not all(file.is_relative_to(src) for file in files):
        pytest.exit(f"rhapsode was not imported from {src}", returncode=4)
'''


class NotFoundError(Exception):
    """A refusal of code or tests that are missing, or there more than once."""


def names_around(tree: ast.Module, line: int) -> set[str]:
    """Classes and functions that a line lies in, as "class Name" and "def name"."""
    return {
        f"{'class' if isinstance(node, ast.ClassDef) else 'def'} {node.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.lineno <= line <= (node.end_lineno or line)
    }


def place_of(mutant: Mutant, src: Path) -> tuple[Path, int, int]:
    """Find the file of a mutant's code, and its begin and end there.

    Raises:
        NotFoundError: it is nowhere, or in several places.
    """
    pattern = re.compile(r"\s+".join(map(re.escape, mutant.old.split())))
    found = []
    for path in sorted(src.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            if set(mutant.within) <= names_around(ast.parse(text), line):
                found.append((path, match.start(), match.end()))
    if len(found) != 1:
        where = "".join(f", {path.relative_to(src)}" for path, _, _ in found)
        raise NotFoundError(f"its code is in {len(found)} places{where}")
    return found[0]


def tests_of(mutant: Mutant, root: Path) -> list[str]:
    """Find the tests where they are named, or else in every file that has such.

    Raises:
        NotFoundError: a test is nowhere.
    """
    found = []
    for asked in mutant.tests:
        path, *names = asked.split("::")
        wanted = re.compile(rf"^\s*(?:def|class) {re.escape(names[0])}\b", re.MULTILINE)
        holding = [
            file
            for file in sorted((root / "tests").rglob("test_*.py"))
            if wanted.search(file.read_text(encoding="utf-8"))
        ]
        if not holding:
            raise NotFoundError(f"{names[0]} is in no file of tests")
        named = [file for file in holding if file == root / path]
        alike = [file for file in holding if file.name == Path(path).name]
        files = named or alike or holding
        found += ["::".join([str(file.relative_to(root)), *names]) for file in files]
    return found


def run_tests(mutant: Mutant, src: Path, root: Path, seconds: float) -> tuple[int, str]:
    """Run a mutant's tests on a copy of the package.

    Arguments:
        mutant: whose tests.
        src: the copy.
        root: of the repository, whose tests are run.
        seconds: they may take.

    Returns:
        pytest's exit status, -1 where time ran out, and what pytest said.
    """
    (src.parent / "mutant_source.py").write_text(PLUGIN, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(src), str(src.parent)]),
        "MUTANT_SRC": str(src),
    }
    # What numba keeps lies beside the copied files then, apart for every copy.
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [
        *(sys.executable, "-m", "pytest", "-p", "mutant_source", "-x", "-q", "-m", "not slow"),
        *("--tb=line", "--hypothesis-seed=0"),
        *(("-k", mutant.keyword) if mutant.keyword else ()),
        *tests_of(mutant, root),
    ]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"more than {seconds:.0f} s"
    return done.returncode, done.stdout + done.stderr


def mutate(mutant: Mutant, src: Path) -> None:
    """Make a mistake in a copy, and forget what was compiled of it.

    Raises:
        NotFoundError: its code is not there once.
    """
    path, begin, end = place_of(mutant, src)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:begin] + mutant.new + text[end:], encoding="utf-8")
    if re.search("numba|compiled|jit", text):
        # numba looks at the file of a function, not at those of the functions that it calls.
        for folder in list(src.rglob("__pycache__")):
            shutil.rmtree(folder)
    for kept in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        kept.unlink()


def result_of(mutant: Mutant, base: Path, root: Path, seconds: float) -> tuple[str, str]:
    """Test a package with and without a mistake.

    Arguments:
        mutant: the mistake.
        base: a copy of the package without it; what is compiled is kept there.
        root: of the repository.
        seconds: that the tests may take each time.

    Returns:
        The result in a word or two, and what pytest said last.
    """
    place_of(mutant, base)
    status, told = run_tests(mutant, base, root, seconds)
    if status:
        return f"NO RESULT (without it pytest ends with {status})", told
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        src = Path(folder).resolve() / "src"
        shutil.copytree(base, src)
        mutate(mutant, src)
        status, told = run_tests(mutant, src, root, seconds)
    if status in {0, 1}:
        return KILLED if status else SURVIVED, told
    return f"NO RESULT (with it pytest ends with {status})", told


def failure_in(told: str) -> str:
    """The test that failed, as pytest's summary names it."""
    failed = [line for line in told.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed[0].partition("::")[2].split(" - ")[0] if failed else ""


def check(mutants: list[Mutant], src: Path, seconds: float) -> int:
    """Make every mistake in turn.

    Arguments:
        mutants: the mistakes.
        src: the folder that holds the package; the tests lie beside it.
        seconds: that the tests of one may take.

    Returns:
        0 where all were killed, else 1.
    """
    killed = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        base = Path(folder).resolve() / "src"
        shutil.copytree(src, base, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for mutant in mutants:
            began = time.monotonic()
            try:
                result, told = result_of(mutant, base, src.parent, seconds)
            except NotFoundError as problem:
                result, told = f"NOT FOUND ({problem})", ""
            killed += result == KILLED
            took = time.monotonic() - began
            print(f"{mutant.number:3} {result:8} {took:5.1f} s  {mutant.words}", flush=True)
            if result == KILLED:
                print(f"             by {failure_in(told)}", flush=True)
            elif result != SURVIVED:
                print("\n".join(told.splitlines()[-15:]), flush=True)
    print(f"{killed} of {len(mutants)} killed")
    return 0 if killed == len(mutants) else 1


def main() -> int:
    """Read the command line and do what it asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print number and description of every mutant")
    checking = commands.add_parser("check", help="make every mistake and run its tests")
    checking.add_argument("--only", type=int, nargs="+", metavar="N", help="these mutants")
    checking.add_argument(
        "--src", type=Path, default=ROOT / "src", help="package folder; tests lie beside it"
    )
    checking.add_argument(
        "--seconds", type=float, default=300.0, help="that the tests of a mutant may take"
    )
    asked = parser.parse_args()
    if asked.command == "list":
        for mutant in MUTANTS:
            print(f"{mutant.number:3} {mutant.words}")
        return 0
    unknown = set(asked.only or ()) - {mutant.number for mutant in MUTANTS}
    if unknown:
        parser.error(f"there is no mutant {min(unknown)}")
    chosen = [mutant for mutant in MUTANTS if not asked.only or mutant.number in asked.only]
    return check(chosen, asked.src.resolve(), asked.seconds)


if __name__ == "__main__":
    sys.exit(main())
