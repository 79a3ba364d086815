"""The transformer computes what `transformers` computes: Llama within the window, Mistral's sliding window beyond it.

Every array goes over under its own name but for the two at the ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from rhapsode.bundle import Component, NetworkConfig
from rhapsode.bundle.network import Network, build_network
from tests.contracts.model_contract import noise

if TYPE_CHECKING:  # importing it takes seconds, which collecting the suite does not have
    from transformers import PretrainedConfig, PreTrainedModel

VOCABULARY, WIDTH, INNER, LAYERS, HEADS, WINDOW = 11, 16, 24, 2, 4, 12
ENDS = {
    "input.weight": "model.embed_tokens.weight",
    "head.weight": "lm_head.weight",
}


def their_name(name: str) -> str:
    return ENDS.get(name, name)


def their_config(cls: type[PretrainedConfig], base: float, **more: object) -> PretrainedConfig:
    return cls(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=256,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": base},
        tie_word_embeddings=False,
        attn_implementation="eager",
        **more,
    )


def our_network(base: float) -> Network:
    return build_network(
        NetworkConfig(
            input=Component("table", {"vocab_size": VOCABULARY, "embedding_size": WIDTH}),
            model=Component(
                "transformer",
                {
                    "num_layers": LAYERS,
                    "num_heads": HEADS,
                    "window": WINDOW,
                    "feedforward_size": INNER,
                    "rope_base": base,
                },
            ),
            head=Component("categorical", {"vocab_size": VOCABULARY, "bias": False}),
        )
    ).eval()


@torch.no_grad()
def weights(theirs: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Weights of ours for theirs, large enough to matter, set on theirs as well."""
    state = theirs.state_dict()
    for seed, tensor in enumerate(state.values()):
        values = noise(*tensor.shape, seed=seed, dtype=torch.float32)
        tensor.copy_(1 + 0.3 * values if tensor.dim() == 1 else values / tensor.shape[-1] ** 0.5)
    return {name: state[their_name(name)] for name in our_network(10.0).state_dict()}


def elements(time: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(VOCABULARY, (3, time), generator=generator)


def assert_same_logits_and_gradients(
    ours: Network, theirs: PreTrainedModel, ids_BT: torch.Tensor
) -> None:
    found_BTV, _ = ours(ids_BT)
    wanted_BTV = theirs(input_ids=ids_BT, use_cache=False).logits
    torch.testing.assert_close(found_BTV, wanted_BTV, rtol=1e-5, atol=1e-5)
    weights_BTV = noise(*wanted_BTV.shape, seed=7, dtype=torch.float32)
    (found_BTV * weights_BTV).sum().backward()
    (wanted_BTV * weights_BTV).sum().backward()
    for name, parameter in ours.named_parameters():
        wanted = theirs.get_parameter(their_name(name)).grad
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("base", [10000.0, 50.0])
def test_llama_within_the_window(base: float) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    theirs = LlamaForCausalLM(their_config(LlamaConfig, base, attention_bias=False)).eval()
    ours = our_network(base)
    ours.load_state_dict(weights(theirs), strict=True)
    assert len(theirs.state_dict()) == len(ours.state_dict())
    assert_same_logits_and_gradients(ours, theirs, elements(WINDOW))


def test_mistral_beyond_the_window() -> None:
    from transformers import MistralConfig, MistralForCausalLM

    theirs = MistralForCausalLM(their_config(MistralConfig, 50.0, sliding_window=WINDOW)).eval()
    ours = our_network(50.0)
    ours.load_state_dict(weights(theirs), strict=True)
    ids_BT = elements(3 * WINDOW)
    assert_same_logits_and_gradients(ours, theirs, ids_BT)

    state = ours.model.init_state(3)
    stepped = []
    for t in range(3 * WINDOW):
        logits_BV, state = ours.step(ids_BT[:, t], state)
        stepped.append(logits_BV)
    wanted_BTV = theirs(input_ids=ids_BT, use_cache=False).logits
    torch.testing.assert_close(torch.stack(stepped, 1), wanted_BTV, rtol=1e-5, atol=1e-5)
