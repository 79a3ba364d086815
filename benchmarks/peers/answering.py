"""What the peers' loops share: a line `WAY SECONDS` on standard input is answered by elements a second."""

import os
import sys
import time


def rate(step, seconds, warm=1):
    """Elements a second of what tells how many elements a call of it wrote; the first calls are left out."""
    for _ in range(warm):
        step()
    done, began = 0, time.perf_counter()
    while True:
        done += step()
        taken = time.perf_counter() - began
        if taken > seconds:
            return done / taken


def answer(ways, warm=1):
    """Time what is asked for, until there is nothing more.

    Arguments:
        ways: by name, what makes the step of a way when it is first asked for; "logits" is called for what it does.
        warm: calls of a step that are left out.
    """
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    made = {}
    for line in sys.stdin:
        way, seconds = line.rsplit(maxsplit=1)
        found = float("nan")
        try:
            if way == "logits":
                ways[way]()
            else:
                if way not in made:
                    made[way] = ways[way]()
                found = rate(made[way], float(seconds), warm)
        except Exception as problem:  # a way that this machine or version does not have
            print(f"{way}: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
        print(found, file=told, flush=True)
