"""The registry of modalities. Light: nothing of them is loaded."""

from typing import TYPE_CHECKING, Any

from rhapsode.bundle.model_file import FACTS
from rhapsode.config import Registry

if TYPE_CHECKING:
    from rhapsode.modalities.contract import Modality

__all__ = ["MODALITIES", "register"]

MODALITIES: "Registry[Modality[Any, Any, Any]]" = Registry("modality")


def register(name: str, *, modality: str, facts: str) -> None:
    """Enter a modality.

    Arguments:
        name: "<word>.v<number>".
        modality: "module:attribute" of the object.
        facts: "module:attribute" of the class of its contents of a model file.
    """
    MODALITIES.register_at(name, modality)
    FACTS.register_at(name, facts)
