"""Kinds of sequences: corpora, plans, prompts and metrics of each.

Every modality is a folder. Its `__init__` registers the modality and loads nothing else. The
folders `ids` and `values` are bases of modalities and register nothing. The smallest example is
`tests/modalities/brackets.py`.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from rhapsode.config import Registry, shared_registry

if TYPE_CHECKING:
    from rhapsode.modalities.contract import Modality
    from rhapsode.modalities.model import Model

__all__ = ["MODALITIES", "MODELS", "register"]

MODALITIES: "Registry[Modality[Any, Any, Any]]" = Registry("modality")
# Classes of opened models by modality. Opening a model loads nothing that only training needs.
MODELS: "Registry[type[Model[Any]]]" = Registry("kind of model")


def register(name: str, *, modality: str, facts: str, model: str) -> None:
    """Enter a modality.

    Arguments:
        name: "<word>.v<number>".
        modality: "module:attribute" of the object.
        facts: "module:attribute" of the class of its contents of a model file.
        model: "module:attribute" of the class of its opened models.
    """
    MODALITIES.register_at(name, modality)
    shared_registry("modality").register_at(name, facts)
    MODELS.register_at(name, model)


for _module in pkgutil.iter_modules(__path__):
    if _module.ispkg:
        importlib.import_module(f"{__name__}.{_module.name}")
