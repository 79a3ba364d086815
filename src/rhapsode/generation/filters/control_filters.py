"""Constraints on continuations: bias, bans, a minimum length, a prefix, no copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhapsode.config.sampling import ControlSettings
from rhapsode.encoding import END_ID, UNKNOWN_ID, Encoder
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.constraint import Matching
from rhapsode.generation.filters.contract import Context, Filter, Logits, refuse_dead_ends

if TYPE_CHECKING:
    from rhapsode.counts import SuffixIndex  # loads the compiler

Ids = tuple[int, ...]


def control_filters(
    settings: ControlSettings,
    encoder: Encoder,
    open_index: Callable[[], SuffixIndex] | None = None,
    *,
    length: int | None = None,
    suppressed: Sequence[int] = (UNKNOWN_ID,),
) -> list[Filter]:
    """The filters that enforce the constraints on generation, in order.

    Empty if the settings have no constraints. The filters come before temperature and truncation:
    these then see only allowed elements, and no constraint has to give way to what they remove.

    Arguments:
        settings: the limits. Stop texts are not among the filters, see `StopText`.
        encoder: of the model.
        open_index: gives an index over the elements of the training data; called for `no_copy`
            only.
        length: most elements of a continuation, where it is known.
        suppressed: ids that are never generated anyway.

    Raises:
        SettingsError: limits that contradict each other, or do not fit the model.
    """
    prefix = _prefix(settings, encoder)
    banned = [ids for entry in settings.ban for ids in spellings(entry, encoder, "--ban")]
    _refuse_contradictions(settings, encoder, prefix, banned, length)
    forced = len(prefix)
    filters: list[Filter] = []
    if settings.bias:
        filters.append(Bias(_biases(settings.bias, encoder), encoder.vocab_size))
    if banned:
        filters.append(Ban(banned, encoder, suppressed, forced=forced))
    if settings.min_length:
        filters.append(MinLength(settings.min_length, encoder, forced=forced))
    if settings.no_copy is not None:
        if open_index is None:
            raise SettingsError(
                "there is no index of the training data", where="--no-copy", hint="leave it out"
            )
        filters.append(NoCopy(settings.no_copy, open_index(), encoder, forced=forced))
    if settings.regex is not None:
        matching = Matching(settings.regex, encoder, length=length, forced=forced)
        matching.check_prefix(prefix, settings.prefix)
        filters.append(matching)
    if prefix:
        filters.append(Prefix(prefix))
    return filters


def spellings(entry: str, encoder: Encoder, where: str) -> list[Ids]:
    """The elements that `TEXT` or `#ID` names.

    A text names its own elements and, if they differ, its elements after a space.

    Arguments:
        entry: a text; `#` and a number; or `##...` for a text that begins with `#`.
        encoder: of the model.
        where: the option, for messages.

    Raises:
        SettingsError: no such element, or a text the model has no elements for.
    """
    if entry.startswith("#") and not entry.startswith("##"):
        digits = entry[1:]
        if not (digits.isascii() and digits.isdigit()):
            raise SettingsError(
                f"{entry!r} is not the number of an element",
                where=where,
                hint="write ## for a # of a text",
            )
        if len(digits) > 12 or int(digits) >= encoder.vocab_size:
            raise SettingsError(
                f"there is no element {entry}",
                where=where,
                hint=f"the elements are #0 to #{encoder.vocab_size - 1}",
            )
        return [(int(digits),)]
    text = entry[1:] if entry.startswith("##") else entry
    if not text:
        raise SettingsError("an empty text", where=where)
    plain, spaced = (
        tuple(int(element) for element in encoder.encode(form)) for form in (text, " " + text)
    )
    forms = [plain] if spaced[-len(plain) :] == plain else [plain, spaced]
    known = [ids for ids in forms if ids and UNKNOWN_ID not in ids]
    if not known:
        raise SettingsError(f"the model has no element for {text!r}", where=where)
    return list(dict.fromkeys(known))


def _prefix(settings: ControlSettings, encoder: Encoder) -> Ids:
    if missing := encoder.unknown(settings.prefix):
        named = ", ".join(map(repr, missing[:8]))
        raise SettingsError(f"the model has no element for {named}", where="--prefix")
    return tuple(int(element) for element in encoder.encode(settings.prefix))


def _biases(entries: Sequence[str], encoder: Encoder) -> dict[int, float]:
    biases: dict[int, float] = {}
    for entry in entries:
        name, equals, value = entry.rpartition("=")
        try:
            bias = float(value)
        except ValueError:
            bias = math.nan
        if not equals or not name or not math.isfinite(bias) or abs(bias) > 1e6:
            raise SettingsError(
                f"{entry!r} is not TEXT=NUMBER or #ID=NUMBER",
                where="--bias",
                hint="as --bias 'rose=2.5'; to remove an element, use --ban",
            )
        for ids in spellings(name, encoder, "--bias"):
            if len(ids) > 1:
                raise SettingsError(
                    f"{name!r} is {len(ids)} elements, but a bias applies to one", where="--bias"
                )
            biases[ids[0]] = bias
    return biases


def _refuse_contradictions(
    settings: ControlSettings,
    encoder: Encoder,
    prefix: Ids,
    banned: Sequence[Ids],
    length: int | None,
) -> None:
    if length is not None and settings.min_length > length:
        raise SettingsError(
            f"the minimum of {settings.min_length} elements exceeds the length limit of {length}",
            where="--min-length",
        )
    if length is not None and len(prefix) > length:
        raise SettingsError(
            f"it has {len(prefix)} elements, but the length limit is {length}", where="--prefix"
        )
    for ids in banned:
        size = len(ids)
        if any(prefix[at : at + size] == ids for at in range(len(prefix) - size + 1)):
            raise SettingsError(
                f"it contains {encoder.decode(ids)!r}, which is banned", where="--prefix"
            )
    for stop in settings.stop:
        if stop and stop in settings.prefix and settings.min_length < len(prefix):
            raise SettingsError(f"it contains the stop text {stop!r}", where="--prefix")


class Bias(Filter):
    """z + b at some elements.

    Arguments:
        biases: by id, finite.
        vocab_size: V.
    """

    name = "bias"

    def __init__(self, biases: dict[int, float], vocab_size: int) -> None:
        self._biases = dict(sorted(biases.items()))
        self._bias_V = np.zeros(vocab_size, dtype=np.float32)
        self._bias_V[list(self._biases)] = list(self._biases.values())

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        return (logits_BV + self._bias_V).astype(np.float32), state

    def explain(self) -> str:
        return "bias " + ", ".join(
            f"#{element} {bias:+g}" for element, bias in self._biases.items()
        )


class Ban(Filter):
    """Remove single elements, and elements that complete a banned sequence.

    What stands in the prompt may begin such a sequence. The cost of a row does not grow with the
    number of bans, only with the number of their different lengths.

    Arguments:
        banned: sequences of ids; those of one element remove it everywhere.
        encoder: of the model.
        suppressed: ids that are never generated anyway.
        forced: so many first elements are decided by a prefix.

    Raises:
        SettingsError: nothing is left to write.
    """

    name = "ban"

    def __init__(
        self,
        banned: Sequence[Ids],
        encoder: Encoder,
        suppressed: Sequence[int] = (UNKNOWN_ID,),
        *,
        forced: int = 0,
    ) -> None:
        single = {ids[0] for ids in banned if len(ids) == 1}
        if len(single | set(suppressed) | {END_ID}) >= encoder.vocab_size:
            raise SettingsError("every element is banned", where="--ban")
        self._encoder, self._forced = encoder, forced
        self._single = np.array(sorted(single), dtype=np.int64)
        # By length of what comes before the last element, then by that: what must not follow.
        self._last: dict[int, dict[Ids, list[int]]] = {}
        for ids in banned:
            if len(ids) > 1:
                self._last.setdefault(len(ids) - 1, {}).setdefault(ids[:-1], []).append(ids[-1])
        self._sequences = len({ids for ids in banned if len(ids) > 1})

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        logits_BV = logits_BV.copy()
        logits_BV[:, self._single] = -np.inf
        if self._last:
            longest = max(self._last)
            for row in range(len(logits_BV)):
                before = _last_of(context.prompt[row], context.output[row], longest)
                for size, following in self._last.items():
                    banned = following.get(before[-size:]) if size <= len(before) else None
                    if banned:
                        logits_BV[row, banned] = -np.inf
        refuse_dead_ends(
            logits_BV, context, self._encoder, "all others are banned", forced=self._forced
        )
        return logits_BV, state

    def explain(self) -> str:
        parts = [str(self._single.tolist())] if len(self._single) else []
        if self._sequences:
            parts.append(f"{self._sequences} sequences")
        return "ban " + ", ".join(parts)


def _last_of(prompt_N: NDArray[np.int64], output_N: NDArray[np.int64], size: int) -> Ids:
    tail = output_N[-size:].tolist()
    if len(tail) < size:
        tail = prompt_N[-(size - len(tail)) :].tolist() + tail
    return tuple(tail)


class MinLength(Filter):
    """No end-of-sequence before so many elements.

    Arguments:
        least: elements.
        encoder: of the model.
        forced: so many first elements are decided by a prefix.
    """

    name = "min_length"

    def __init__(self, least: int, encoder: Encoder, *, forced: int = 0) -> None:
        self._least, self._encoder, self._forced = least, encoder, forced

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        early_B = context.position_B < self._least
        if not early_B.any():
            return logits_BV, state
        logits_BV = logits_BV.copy()
        logits_BV[early_B, END_ID] = -np.inf
        what = f"only end-of-sequence is, before the minimum of {self._least} elements"
        refuse_dead_ends(logits_BV, context, self._encoder, what, forced=self._forced)
        return logits_BV, state

    def compiled(self) -> tuple[str, int]:
        return "min_length", self._least

    def explain(self) -> str:
        return f"min_length {self._least}"


class Prefix(Filter):
    """Force the first elements, whatever was removed before.

    Arguments:
        elements: their ids.
    """

    name = "prefix"

    def __init__(self, elements: Ids) -> None:
        self._elements_N = np.array(elements, dtype=np.int64)

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        rows_R = np.flatnonzero(context.position_B < len(self._elements_N))
        if not len(rows_R):
            return logits_BV, state
        due_R = self._elements_N[context.position_B[rows_R]]
        # Its own logit where it has one: what it costs under the model stays known.
        kept_R = logits_BV[rows_R, due_R]
        logits_BV = logits_BV.copy()
        logits_BV[rows_R] = -np.inf
        logits_BV[rows_R, due_R] = np.where(np.isfinite(kept_R), kept_R, np.float32(0))
        return logits_BV, state

    def explain(self) -> str:
        return f"prefix of {len(self._elements_N)}"


class NoCopy(Filter):
    """Remove elements that complete a run of N from the training data.

    Each row follows the longest suffix of its text that occurs in the data, up to N - 1 elements.
    When it is that long, every element that follows it in the data is removed. The prompt counts,
    so that no run continues from it. If nothing else is left, end-of-sequence included, that is an
    error: a copy is never written, and no other constraint is dropped silently.

    A row costs a few steps through sorted suffixes. Rows at N - 1 elements need one more lookup of
    what follows.

    Arguments:
        size: N, at least 2.
        index: over the elements of the training data.
        encoder: of the model.
        forced: so many first elements are decided by a prefix, which may copy.
    """

    name = "no_copy"

    def __init__(self, size: int, index: SuffixIndex, encoder: Encoder, *, forced: int = 0) -> None:
        if size < 2:
            raise ValueError("runs of less than two elements cannot be avoided")
        self._size, self._index = size, index
        self._encoder, self._forced = encoder, forced

    def init(self, rows: int) -> NDArray[np.int64] | int:
        """The number of rows; their elements are read at the first step."""
        return rows

    def select(self, state: Any, rows_R: NDArray[np.int64]) -> Any:
        return len(rows_R) if isinstance(state, int) else state[rows_R]

    def apply(self, logits_BV: Logits, context: Context, state: Any) -> tuple[Logits, Any]:
        state_B3 = self._read(context) if isinstance(state, int) else self._written(state, context)
        logits_BV = logits_BV.copy()
        known: dict[bytes, NDArray[np.unsignedinteger]] = {}
        for row in np.flatnonzero(state_B3[:, 0] >= self._size - 1):
            # Rows of one request often stand at the same place.
            key = state_B3[row].tobytes()
            if key not in known:
                known[key] = self._index.followers(state_B3[row])
            logits_BV[row, known[key]] = -np.inf
        what = f"all others would complete {self._size} elements of the training data"
        refuse_dead_ends(logits_BV, context, self._encoder, what, forced=self._forced)
        return logits_BV, state_B3

    def _read(self, context: Context) -> NDArray[np.int64]:
        """The state after the prompts and outputs of the rows."""
        rows = [
            np.concatenate((prompt_N, output_N))[-(self._size - 1) :]
            for prompt_N, output_N in zip(context.prompt, context.output, strict=True)
        ]
        states: dict[bytes, NDArray[np.int64]] = {}
        for row_N in rows:
            if row_N.tobytes() not in states:
                one_13 = self._index.start(1)
                for element in row_N:
                    one_13 = self._index.extend(one_13, [int(element)], most=self._size - 1)
                states[row_N.tobytes()] = one_13[0]
        return np.stack([states[row_N.tobytes()] for row_N in rows])

    def _written(self, state_B3: NDArray[np.int64], context: Context) -> NDArray[np.int64]:
        last_B = np.array([output_N[-1] for output_N in context.output], dtype=np.int64)
        return self._index.extend(state_B3, last_B, most=self._size - 1)

    def explain(self) -> str:
        return f"no_copy {self._size}"
