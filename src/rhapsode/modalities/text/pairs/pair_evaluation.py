"""Evaluation of models of pairs: likelihood, answers, alignments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from rhapsode.bundle import IdBundle, Predictor
from rhapsode.config import GenerateSettings
from rhapsode.data import ElementStore
from rhapsode.encoding import Encoder
from rhapsode.evaluation import Figures
from rhapsode.modalities.ids.continuation import chain_for
from rhapsode.modalities.scoring import Metrics
from rhapsode.modalities.text.facts import TextFacts
from rhapsode.modalities.text.metrics import TextPart
from rhapsode.modalities.text.pairs.pair_answering import LONGEST, Answer, Search, find_answers
from rhapsode.modalities.text.pairs.pair_corpus import pairs_of
from rhapsode.modalities.text.pairs.pair_measures import (
    AnswerMeasures,
    corpus_scores,
    measure_answers,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rhapsode.bundle.network import Network
    from rhapsode.modalities.text.corpus import TextCorpus
    from rhapsode.modalities.text.model import TextModel
    from rhapsode.modalities.text.settings import PairSettings
    from rhapsode.training import Measures

# Wrong answers that a report shows, and pairs of an alignment picture.
SHOWN, DRAWN = 8, 8
# Validation inputs that are answered as samples.
SAMPLED = 5
# Inputs that are answered at the end of a run; `rhapsode evaluate` answers all.
FINISHING = 2000
# Weight of the loss in the rank of validation measures: it decides between equal ones.
TIES = 1e-3
HAN = ("\u3400", "\u9fff")


@dataclass(frozen=True, repr=False)
class PairEvaluation(Figures, Metrics):
    """Figures of outputs given their inputs, and measures of answers.

    Arguments:
        answers: measures of the best answers; see `AnswerMeasures`.
        beams: of the search for answers.
        wrong: some wrong answers: `input`, `answer`, `right`.
        alignments: of the first pairs, for pictures: `source`, `output`, `weights`.
    """

    answers: AnswerMeasures
    beams: int
    wrong: list[dict[str, Any]]
    alignments: list[dict[str, Any]]

    __repr__ = Metrics.__repr__

    @classmethod
    def of(cls, figures: Figures, **more: Any) -> Self:
        """Add measures of answers to figures."""
        known = {field.name: getattr(figures, field.name) for field in fields(Figures)}
        return cls(**{**known, **more})

    @property
    def accuracy(self) -> float:
        """Fraction of inputs whose answer equals a right output."""
        return self.answers.accuracy

    def to_mapping(self) -> dict[str, Any]:
        plain = super().to_mapping()
        del plain["answers"], plain["alignments"]
        return {**self.answers.to_mapping(), **plain}

    def shown(self, width: int) -> Sequence[RenderableType]:
        return list(self.report(f"{self.protocol.split}"))

    def report(self, title: str) -> Iterator[RenderableType]:
        from rhapsode.views.pair_report import pair_report

        yield from pair_report(self.to_mapping(), title, self.alignments[:1])


def measure_pairs(model: TextModel, part: TextPart, figures: Figures, beams: int) -> PairEvaluation:
    """Answer all distinct inputs of a part, and measure the answers.

    Arguments:
        model: of pairs.
        part: pairs, encoded.
        figures: of the likelihood of the outputs.
        beams: of the search.
    """
    measures, wrong = answer_part(model.scorer, model.bundle, part, beams=beams, most=None)
    return PairEvaluation.of(
        figures,
        answers=measures,
        beams=beams,
        wrong=wrong,
        alignments=alignments_of(model.network, model.bundle, part.store, DRAWN),
    )


def answer_part(
    predictor: Predictor, bundle: IdBundle, part: TextPart, *, beams: int, most: int | None
) -> tuple[AnswerMeasures, list[dict[str, Any]]]:
    """Measures of the best answers to distinct inputs, and wrong ones.

    Arguments:
        predictor: the model.
        bundle: its encoder and facts.
        part: pairs, encoded.
        beams: of the search.
        most: inputs, evenly chosen; None answers all.
    """
    encoder = bundle.encoder
    groups: dict[str, list[int]] = {}
    outputs: list[str] = []
    for number, (source, output) in enumerate(pairs_of(part.texts, part.parts)):
        groups.setdefault(source, []).append(number)
        outputs.append(output)
    inputs = list(groups)
    if most is not None and len(inputs) > most:
        inputs = [inputs[place * len(inputs) // most] for place in range(most)]
    found = _best(predictor, bundle, part.store, [groups[each][0] for each in inputs], beams)
    references = [[outputs[number] for number in groups[source]] for source in inputs]
    encoded = [[encoder.encode(text).tolist() for text in known] for known in references]
    measures = measure_answers(
        [answer.elements for answer in found],
        encoded,
        unfinished=sum(answer.end != "stop" for answer in found),
    )
    texts = [answer.text for answer in found]
    measures = replace(
        measures, **corpus_scores(texts, references, tokenise=_tokeniser(references))
    )
    wrong = [
        {"input": source, "answer": answer.text, "right": known}
        for source, answer, known, ids in zip(inputs, found, references, encoded, strict=True)
        if list(answer.elements) not in ids
    ]
    return measures, wrong[:SHOWN]


def _best(
    predictor: Predictor,
    bundle: IdBundle,
    store: ElementStore,
    numbers: Sequence[int],
    beams: int,
) -> list[Answer]:
    """The best answer to the sources of some documents."""
    assert store.sources is not None
    chosen = store.sources.select(np.array(numbers, dtype=np.int64))
    chain = chain_for(bundle, GenerateSettings())
    search = Search(beams, answer_length(bundle))
    found = find_answers(predictor, chosen, chain, search, bundle.encoder)
    return [answers[0] for answers in found]


def answer_length(bundle: IdBundle) -> int:
    """Most elements of an answer where no length is set."""
    facts = bundle.facts
    assert isinstance(facts, TextFacts)
    return LONGEST * facts.longest + 1


def _tokeniser(references: Sequence[Sequence[str]]) -> str:
    text = "".join(known[0] for known in references[:1000])
    han = sum(HAN[0] <= character <= HAN[1] for character in text)
    return "zh" if 2 * han > len(text) else "13a"


def validation_measures(
    corpus: TextCorpus, bundle: IdBundle, network: Network, settings: PairSettings
) -> Callable[[float], Measures] | None:
    """Function that answers a fixed part of the validation inputs.

    None without any.

    Arguments:
        corpus: of pairs.
        bundle: its encoder and facts.
        network: while it is trained.
        settings: how many inputs, and the measure that selects the best weights.
    """
    from rhapsode.bundle.torch_predictor import torch_predictor
    from rhapsode.training import Measures

    store = corpus.validation
    count = min(settings.answers, len(store.starts))
    if not count:
        return None
    numbers = [place * len(store.starts) // count for place in range(count)]
    known: dict[bytes, list[list[int]]] = {}
    outputs = _documents(store)
    assert store.sources is not None
    keys = [_key(store, number) for number in range(len(store.starts))]
    for key, output in zip(keys, outputs, strict=True):
        known.setdefault(key, []).append(output)
    references = [known[keys[number]] for number in numbers]
    predictor = torch_predictor(network, bundle.encoder.vocab_size, bundle.context)

    def measure(loss: float) -> Measures:
        found = _best(predictor, bundle, store, numbers, 1)
        measures = measure_answers([answer.elements for answer in found], references)
        values = {
            "error_rate": measures.error_rate,
            "symbol_error_rate": measures.symbol_error_rate,
        }
        chosen = loss if settings.select == "loss" else values[settings.select] + TIES * loss
        return Measures(chosen, values)

    return measure


def sample_answers(
    corpus: TextCorpus, bundle: IdBundle, network: Network
) -> Callable[[], tuple[tuple[float, str], ...]]:
    """Function that answers a few validation inputs, as samples of temperature 0.

    Arguments:
        corpus: of pairs.
        bundle: its encoder and facts.
        network: while it is trained.
    """
    from rhapsode.bundle.torch_predictor import torch_predictor

    parts, store = corpus.splits.validation, corpus.validation
    if not len(parts):
        parts, store = corpus.splits.train, corpus.train
    count = min(SAMPLED, len(parts))
    numbers = [place * len(parts) // count for place in range(count)]
    inputs = [source for source, _ in pairs_of(corpus.texts, parts[numbers])]
    predictor = torch_predictor(network, bundle.encoder.vocab_size, bundle.context)

    def sample() -> tuple[tuple[float, str], ...]:
        found = _best(predictor, bundle, store, numbers, 1)
        lines = [f"{text} -> {answer.text}" for text, answer in zip(inputs, found, strict=True)]
        return ((0.0, "\n".join(lines)),)

    return sample


def _documents(store: ElementStore) -> list[list[int]]:
    """Elements of each document, without its end."""
    ends = np.append(store.starts[1:], len(store))
    return [
        np.asarray(store.elements_N[begin : end - 1]).tolist()
        for begin, end in zip(store.starts.tolist(), ends.tolist(), strict=True)
    ]


def _key(store: ElementStore, number: int) -> bytes:
    assert store.sources is not None
    begin, end = store.sources.offsets[number : number + 2].tolist()
    return store.sources.ids_N[begin:end].tobytes()


def alignments_of(
    network: Network, bundle: IdBundle, store: ElementStore, count: int
) -> list[dict[str, Any]]:
    """Attention weights of the right outputs of the first pairs.

    Arguments:
        network: of a model of pairs.
        bundle: its encoders.
        store: pairs, encoded.
        count: how many.

    Returns:
        For each: names of the elements of the input and of the output, their ends included, and
        the weights, a row for each element of the output.
    """
    facts = bundle.facts
    assert isinstance(facts, TextFacts)
    assert facts.source is not None
    assert store.sources is not None
    found = []
    for number, output in enumerate(_documents(store)[:count]):
        condition = store.sources.condition(np.array([number], dtype=np.int64))
        assert condition.ids_BS is not None
        weights_TS = attention_weights(network, condition, output)
        found.append(
            {
                "source": _labels(facts.source, condition.ids_BS[0].tolist()),
                "output": _labels(bundle.encoder, [*output, 0]),
                "weights": weights_TS.tolist(),
            }
        )
    return found


def attention_weights(
    network: Network, condition: Any, output: Sequence[int]
) -> NDArray[np.float32]:
    """Attention weights (T, S) of a given output and its end.

    They weight the elements of the input.

    Arguments:
        network: of a model of pairs.
        condition: the input, one row.
        output: identifiers.
    """
    import torch

    from rhapsode.bundle.device import numbers
    from rhapsode.bundle.network import evaluating

    with torch.no_grad(), evaluating(network):
        inputs_1T = torch.tensor([[0, *output]], device=network.device)
        state = network.model.init_state(1, condition=condition)
        weights_1TS = network.model.probe(network.input(inputs_1T), state)["attention"]
        weights_TS: NDArray[np.float32] = numbers(weights_1TS.float())[0]
        return weights_TS


def _labels(encoder: Encoder, elements: Sequence[int]) -> list[str]:
    return ["<end>" if element == 0 else encoder.label(element) for element in elements]
