"""What normalisation makes of a text."""

from dataclasses import fields
from typing import Any

from rhapsode.encoding.normalise import Normaliser, NormalSettings


def normal(text: str, **settings: Any) -> str:
    """The text after these steps of normalisation."""
    own = {field.name for field in fields(NormalSettings)}
    known = {name: value for name, value in settings.items() if name in own}
    return Normaliser(NormalSettings(**known))(text)
