"""The registry: full names, the newest version of a short one, and a suggestion for a misspelt one."""

import pytest

from rhapsode.config import Registry, suggest
from rhapsode.errors import SettingsError


def table() -> Registry[str]:
    registry: Registry[str] = Registry("model")
    for name in ("lstm.v1", "lstm.v9", "lstm.v10", "lstm_wide.v2", "transformer.v1"):
        registry.register(name)(f"the {name}")
    return registry


def test_a_full_name_means_itself():
    assert table().get("lstm.v1") == "the lstm.v1"
    assert table().full_name("lstm.v9") == "lstm.v9"


def test_a_short_name_means_the_newest_version_by_number():
    assert table().full_name("lstm") == "lstm.v10"
    assert table().get("lstm_wide") == "the lstm_wide.v2"


def test_names_are_sorted():
    assert table().names() == sorted(table().names())
    assert len(table().names()) == 5


@pytest.mark.parametrize("name", ["lstm.v2", "lst", "", ".v1", "os.system", "lstm.v", "LSTM"])
def test_an_unknown_name_is_refused_with_what_is_known(name: str):
    with pytest.raises(SettingsError) as caught:
        table().get(name)
    assert f"unknown model {name!r}" in str(caught.value)
    assert all(known in str(caught.value) for known in table().names())


def test_a_near_name_is_suggested():
    with pytest.raises(SettingsError, match=r"did you mean 'transformer\.v1'"):
        table().get("transfomer")


def test_an_empty_registry_says_so():
    with pytest.raises(SettingsError, match="there are none"):
        Registry("filter").get("top_k")


def test_suggestions():
    assert suggest("bath", ["batch", "window"]) == "did you mean 'batch'? known: batch, window"
    assert suggest("qqq", ["batch", "window"]) == "known: batch, window"
    assert suggest("qqq", []) == "there are none"


@pytest.mark.parametrize("name", ["lstm", "lstm.v", "lstm.vx", ".v1", "", "lstm.v1"])
def test_only_new_versioned_names_can_be_registered(name: str):
    with pytest.raises(ValueError, match="cannot register model"):
        table().register(name)


def test_registering_gives_back_what_was_registered():
    registry: Registry[type] = Registry("filter")

    @registry.register("mine.v1")
    class Mine:
        pass

    assert Mine.__name__ == "Mine"
    assert registry.get("mine") is Mine


def test_other_words_lead_to_the_entry():
    registry: Registry[int] = Registry("encoding")
    registry.register("words.v1", aliases=("word",))(1)
    assert registry.full_name("word") == "words.v1"
    assert registry.names() == ["words.v1"]
    registry.register("words.v2", aliases=("word",))(2)
    assert registry.get("word") == 2
    with pytest.raises(ValueError, match="'word' twice"):
        registry.register("other.v1", aliases=("word",))
