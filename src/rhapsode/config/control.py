"""What a continuation must and must not hold."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import UseAppendAction

from rhapsode.config.options import option

__all__ = ["ControlSettings"]


@dataclass(frozen=True)
class ControlSettings:
    """Limits on what is written."""

    stop: Annotated[UseAppendAction[tuple[str, ...]], option("TEXT", "none")] = ()
    """End before this text; may be repeated."""
