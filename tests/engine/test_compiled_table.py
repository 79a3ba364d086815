"""Tables of the compiled loop: each continuation has the elements that it has alone, in any company."""

import numpy as np
import pytest

from rhapsode.bundle import Predictor
from rhapsode.bundle.row_table import Entrant, TableRequest, WritingTable
from rhapsode.encoding import END_ID
from rhapsode.generation import Chain, Job, continue_jobs
from tests.engine.test_compiled_mixture import mixed
from tests.engine.test_compiled_writing import chain, predictor_of

LENGTH = 40
PROMPTS: tuple[tuple[int, ...], ...] = ((), (2,), (3, 4, 5), tuple(range(2, 12)) * 2)
CHAINS = (
    chain(),
    chain(temperature=0.7, top_k=5),
    chain(temperature=0),
    chain(min_p=0.1, top_p=0.9),
    chain(repetition_penalty=1.3, penalty_range=7),
    chain(frequency_penalty=0.5, presence_penalty=0.2),
)


def alone(predictor: Predictor, prompt: tuple[int, ...], made: Chain, seed: int) -> list[int]:
    job = Job(np.array(prompt, dtype=np.int64), 3, LENGTH)
    chosen = continue_jobs(predictor, [job], made, seed=seed)
    return [element for one in chosen for element in one.elements]


def entrant(
    predictor: Predictor,
    key: int,
    case: tuple[tuple[int, ...], Chain, int],
    written: tuple[int, ...] = (),
) -> Entrant:
    prompt, made, seed = case
    ids_1T = np.array([[END_ID, *prompt, *written]], dtype=np.int64)
    following, state = predictor.advance(ids_1T, predictor.start(1))
    return Entrant(
        key,
        state,
        following.alone_BV[0],
        np.array(prompt, dtype=np.int64),
        np.array(written, dtype=np.int64),
        made,
        seed,
        3,
        LENGTH,
    )


def table_of(predictor: Predictor) -> WritingTable:
    table = predictor.table(TableRequest())
    assert table is not None
    return table


@pytest.mark.parametrize(
    "make",
    [
        lambda: predictor_of("gru"),
        lambda: predictor_of("transformer"),
        lambda: predictor_of("tcn"),
        lambda: mixed("gru"),
        lambda: mixed("lstm of two layers"),
        lambda: mixed("gru", adapt=True),
    ],
    ids=["gru", "transformer", "tcn", "mixed", "documents", "adapting"],
)
def test_elements_are_those_written_alone_in_any_company(make) -> None:
    predictor = make()
    table = table_of(predictor)
    rng = np.random.default_rng(0)
    cases = [
        (PROMPTS[number % len(PROMPTS)], CHAINS[number % len(CHAINS)], number)
        for number in range(18)
    ]
    found: dict[int, list[int]] = {key: [] for key in range(len(cases))}
    waiting = list(range(len(cases)))
    gone: set[int] = set()
    while waiting or len(table):
        joining = [waiting.pop() for _ in range(min(len(waiting), int(rng.integers(4))))]
        entrants = [entrant(predictor, key, cases[key]) for key in joining]
        for stretch in table.join(entrants) + table.write(1e-5):
            found[stretch.job] += stretch.elements
        if rng.random() < 0.1 and len(table):
            leaving = {key for key in found if key % 9 == 4}
            table.leave(leaving)
            gone |= leaving
    for key, (prompt, made, seed) in enumerate(cases):
        expected = alone(predictor, prompt, made, seed)
        assert found[key] == expected[: len(found[key])]
        assert key in gone or found[key] == expected


@pytest.mark.parametrize("made", CHAINS)
def test_a_continuation_goes_on_after_a_pause(made: Chain) -> None:
    predictor = mixed("gru")
    prompt, seed = PROMPTS[2], 7
    whole = alone(predictor, prompt, made, seed)
    assert len(whole) > 10
    table = table_of(predictor)
    later = entrant(predictor, 0, (prompt, made, seed), tuple(whole[:9]))
    rest = [element for one in table.join([later]) for element in one.elements]
    while len(table):
        rest += [element for one in table.write(1.0) for element in one.elements]
    assert whole[:9] + rest == whole


def test_windows_and_other_filters_have_no_table() -> None:
    assert predictor_of("lstm in a window").table(TableRequest()) is None
    table = table_of(predictor_of("gru"))
    assert not table.admits(chain(dry_multiplier=0.8))
    assert table.admits(chain(top_k=3))
