"""What is promised of imports: light commands load neither torch nor what else is slow."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "numba", "pandas")
# What `generate` needs no part of; each took milliseconds of every start.
TRAINING = ("torch", "rich", "filelock", "rhapsode.evaluation", "rhapsode.data.sources")
MODELS = Path(__file__).parent / "golden" / "models"


def loaded(code: str, names: tuple[str, ...] = HEAVY) -> set[str]:
    """The modules, of some, that a fresh interpreter holds after running `code`."""
    report = f"\nimport sys\nprint([m for m in {names!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + report],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(ast_list(done.stderr.splitlines()[-1]))


def ast_list(text: str) -> list[str]:
    import ast

    return list(ast.literal_eval(text))


@pytest.mark.parametrize(
    "code",
    [
        "import rhapsode",
        "from rhapsode.cli.main import main; main(['--help'])",
        "from rhapsode.cli.main import main; main(['data', 'list'])",
        "import rhapsode.encoding, rhapsode.generation, rhapsode.evaluation, rhapsode.bundle",
        "import rhapsode.workflows",
    ],
)
def test_light_imports(code: str) -> None:
    assert loaded(code) == set()


@pytest.mark.parametrize("command", ["train", "generate", "evaluate", "info", "data", "demo"])
def test_help_of_a_command_is_light(command: str) -> None:
    code = f"from rhapsode.cli.main import main\ntry:\n    main([{command!r}, '--help'])\nexcept SystemExit:\n    pass"
    assert loaded(code) == set()


def test_generate_loads_nothing_of_training() -> None:
    words = ["generate", str(MODELS / "lstm"), "The", "--length", "3", "--seed", "1"]
    code = f"from rhapsode.cli.main import main; main({words!r})"
    assert loaded(code, TRAINING) == set()


def test_reading_encoding_and_filtering_are_light(tmp_path: Path) -> None:
    code = f"""
import numpy as np
from rhapsode.bundle import Component, Member, NetworkConfig, read_bundle, write_bundle
from rhapsode.bundle import IdBundle
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.config import GenerateSettings
from rhapsode.encoding.text import CharacterEncoder
from rhapsode.generation import Context, chain_of
from pathlib import Path
encoder = CharacterEncoder.learn(["abc"], {{}})
config = NetworkConfig(Component("table.v1"), Component("lstm.v1"), Component("categorical.v1"))
path = Path({str(tmp_path / "m.safetensors")!r})
members = (Member({{"head.bias": np.ones(5, np.float32)}}),)
write_bundle(path, IdBundle(config, encoder, TextFacts(np.ones(5, np.int64)), members))
bundle = read_bundle(path)
bundle.encoder.decode(bundle.encoder.encode("cab"))
chain = chain_of(GenerateSettings(top_k=2, top_p=0.5), vocab_size=5, suppressed=(1,))
zeros = np.zeros(1, np.int64)
chain.apply(np.zeros((1, 5), np.float32), Context((zeros,), (zeros,), zeros, zeros, 0), chain.init(1))
"""
    assert loaded(code) == set()
