"""What is said when limits leave no element that may come next."""

from __future__ import annotations

import numpy as np

from rhapsode.encoding import Encoder
from rhapsode.errors import SettingsError
from rhapsode.generation.filters.contract import Context, Logits

_SHOWN = 40
_HINT = "loosen a limit, or choose another seed"


def refuse_dead_ends(
    logits_BV: Logits,
    context: Context,
    encoder: Encoder,
    what: list[str] | str,
    *,
    forced: int = 0,
) -> None:
    """Pass when every row has a candidate.

    Arguments:
        logits_BV: after a limit.
        context: where the rows stand.
        encoder: for the text so far.
        what: the limit wants, for all rows or each.
        forced: so many first elements are decided elsewhere.

    Raises:
        SettingsError: a row has none: at which place, after which text.
    """
    dead_B = np.isneginf(logits_BV.max(axis=1)) & (context.position_B >= forced)
    if not dead_B.any():
        return
    row = int(dead_B.argmax())
    before = encoder.decode([*context.prompt[row].tolist(), *context.output[row].tolist()])
    wanted = what if isinstance(what, str) else what[row]
    raise SettingsError(
        f"no element may come here: {wanted}",
        where=f"continuation {int(context.sequence_B[row])}, element "
        f"{int(context.position_B[row])}, behind {before[-_SHOWN:]!r}",
        hint=_HINT,
    )
