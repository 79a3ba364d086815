"""Rows of several requests that share the calls of a predictor, each as it would be alone."""

import numpy as np

from rhapsode.encoding import END_ID
from rhapsode.generation import Chain, Job, Rows, generate_elements
from rhapsode.generation.shared_rows import SharedRows
from tests.engine.test_compiled_mixture import mixed
from tests.engine.test_compiled_writing import chain

LENGTH = 12
CHAINS: tuple[Chain, ...] = (
    chain(),
    chain(dry_multiplier=0.8, temperature=0.9),
    chain(mirostat_tau=2.0),
    chain(xtc_probability=0.5, xtc_threshold=0.05),
)


def test_requests_join_and_leave_between_steps() -> None:
    predictor = mixed("gru")
    shared = SharedRows(predictor)
    jobs = [
        [Job(np.array(range(2, 3 + number), dtype=np.int64), index, LENGTH) for index in range(3)]
        for number in range(8)
    ]
    expected = [
        [
            [one.element for one in generate_elements(predictor, [job], made, seed=number)]
            for job in own
        ]
        for number, (own, made) in enumerate(zip(jobs, CHAINS * 2, strict=True))
    ]
    found: list[list[list[int]]] = [[[], [], []] for _ in jobs]
    waiting = list(range(len(jobs)))
    seated: dict[int, tuple[Rows, list[int]]] = {}
    while waiting or seated:
        if waiting:
            number = waiting.pop(0)
            rows = Rows.of_jobs(predictor, jobs[number], CHAINS[number % len(CHAINS)], number)
            shared.join(rows)
            seated[number] = rows, [0, 1, 2]
        shared.advance()
        for number, (rows, live) in list(seated.items()):
            step = rows.draw()
            going = []
            for row, index in enumerate(live):
                element = int(step.elements[row])
                found[number][index].append(element)
                if element != END_ID and rows.position + 1 < LENGTH:
                    going.append(row)
            live[:] = [live[row] for row in going]
            if live:
                step.keep(going)
                rows.write(step)
            else:
                shared.leave(rows)
                del seated[number]
    assert found == expected
    assert len(shared) == 0
