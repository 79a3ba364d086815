"""Every opened model, whatever it holds, has the members of the public protocol."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import rhapsode as rh
from rhapsode.bundle import read_bundle, write_bundle
from rhapsode.bundle.element_facts import IdBundle, NGramPart
from rhapsode.counts import NGramModel
from rhapsode.modalities.text.facts import TextFacts

MEMBERS = (
    "modality", "generate", "stream", "next", "session", "evaluate", "log_prob", "encode", "decode",
    "network", "info", "save",
)  # fmt: skip
GOLDEN = Path(__file__).parent / "golden" / "models"


@pytest.fixture(params=["text", "series", "bins", "counts alone"])
def model(request: pytest.FixtureRequest, tmp_path: Path, prose: str) -> rh.Model:
    named = {"text": "lstm", "series": "s-lstm", "bins": "s-binned"}
    if request.param in named:
        return rh.load(GOLDEN / named[request.param])
    encoder = read_bundle(GOLDEN / "lstm").encoder
    ids_N = encoder.encode("The cat sat on the mat. " * 50).astype(np.int64)
    ngram = NGramModel.learn(ids_N, encoder.vocab_size, order=3)
    facts = TextFacts(
        np.bincount(ids_N, minlength=encoder.vocab_size), NGramPart(*ngram.to_arrays())
    )
    write_bundle(tmp_path / "model.safetensors", IdBundle(None, encoder, facts))
    return rh.load(tmp_path)


def test_every_member_works(model: rh.Model, tmp_path: Path) -> None:
    text = model.modality == "text.v1"
    prompt = "the c" if text else np.sin(np.arange(30.0)) + 2
    held_out = ["the cat sat on the mat. " * 9] if text else np.sin(np.arange(60.0)) + 2
    elements = model.encode(prompt)
    assert len(model.log_prob(prompt)) == len(elements) or not text
    assert isinstance(model.decode(elements).text(), str)
    document = model.generate(prompt, length=3, seed=1)
    assert len(document.elements) == len(elements) + 3
    assert "".join(piece.text for piece in model.stream(prompt, length=3, seed=1))
    assert model.next(prompt, top=2).to_list() == rh.next(model, prompt, top=2).to_list()
    assert model.info().facts == rh.info(model).facts
    session = model.session(length=3, seed=1)
    assert isinstance(session, rh.Session)
    written = "".join(session.write())
    again = rh.session(model, length=3, seed=1)
    assert written
    assert "".join(again.write()) == written
    assert model.evaluate(held_out).to_mapping()
    model.save(tmp_path / "copy.safetensors")
    assert rh.load(tmp_path / "copy.safetensors").fingerprint() == model.fingerprint()
    if model.bundle.network is None:
        with pytest.raises(rh.RhapsodeError, match="has no network"):
            _ = model.network
    else:
        assert sum(1 for _ in model.network.parameters())


@pytest.mark.parametrize("name", MEMBERS)
def test_members_are_declared_typed_and_described(name: str) -> None:
    member = inspect.getattr_static(rh.Model, name)
    function = getattr(member, "fget", None) or getattr(member, "func", None) or member
    assert inspect.getdoc(member)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in list(signature.parameters.values())[1:]:
        assert parameter.annotation is not inspect.Parameter.empty
    assert "**" not in str(signature) or "Unpack[" in str(signature) or name == "evaluate"
