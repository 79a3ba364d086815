"""A process that builds the automaton of a regular expression.

Nothing else ends the construction of an automaton that grows without end, or bounds its memory. The
file is run by its path, so that the process imports nothing of the package.

It reads the expression from the standard input, and writes whole numbers of 64 bits: the first
state, the number of states where the text may end, these states, and each move as a state, a byte
and the state after it. A problem is written as text after an exclamation mark, with exit status 1.
"""

import sys
from array import array
from contextlib import suppress

MOST_BYTES = 2 << 30
"""Memory that the process may use, where the system has such a limit."""
END = 256


def limit_memory() -> None:
    """Let the process end before it takes the memory of others."""
    if sys.platform == "win32":  # which has no such limit
        return
    import resource

    with suppress(OSError, ValueError):  # macOS refuses some values
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))


def main() -> int:
    """Build the automaton, and write it to the standard output."""
    limit_memory()
    expression = sys.stdin.buffer.read().decode("utf-8")
    try:
        from outlines_core import Index, Vocabulary

        every_byte = Vocabulary(END, {bytes((byte,)): [byte] for byte in range(END)})
        index = Index(expression, every_byte)
    except BaseException as problem:  # a panic in Rust is no Exception
        text = str(problem) or type(problem).__name__
        sys.stdout.buffer.write(b"!" + text.encode("utf-8", "replace"))
        return 1
    final = index.get_final_states()
    numbers = array("q", (index.get_initial_state(), len(final), *final))
    for state, row in index.get_transitions().items():
        for byte, target in row.items():
            if byte != END:
                numbers.extend((state, byte, target))
    numbers.tofile(sys.stdout.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
