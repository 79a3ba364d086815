"""Texts by `generate` of transformers, as a Llama with the weights of our transformer: transformers_loop.py WEIGHTS.npz ASKED."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from answering import answer
from transformers import LlamaConfig, LlamaForCausalLM

path, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
ROWS, WRITTEN = asked["rows"], asked["written"]
torch.set_num_threads(asked["threads"])
torch.manual_seed(0)
ENDS = {"input.weight": "model.embed_tokens.weight", "head.weight": "lm_head.weight"}


def model_of(dtype):
    arrays = {
        ENDS.get(name, name): torch.from_numpy(array) for name, array in np.load(path).items()
    }
    vocab, width = arrays["lm_head.weight"].shape
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=len(arrays["model.layers.0.mlp.up_proj.weight"]),
        num_hidden_layers=sum(name.endswith("up_proj.weight") for name in arrays),
        num_attention_heads=asked["heads"],
        num_key_value_heads=asked["heads"],
        max_position_embeddings=WRITTEN + 1,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        attention_bias=False,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict(arrays)
    return model.to(dtype)


def step_of(dtype):
    model = model_of(dtype)

    def write(length):
        found = model.generate(
            torch.zeros(ROWS, 1, dtype=torch.int64),
            attention_mask=torch.ones(ROWS, 1, dtype=torch.int64),
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            use_cache=True,
            max_new_tokens=length,
        )
        return found[:, 1:].numel()

    write(8)
    return lambda: write(WRITTEN)


@torch.inference_mode()
def logits():
    ids = torch.from_numpy(np.load(path.with_suffix(".ids.npy")))
    found = model_of(torch.float32)(input_ids=ids).logits
    np.save(path.with_suffix(".logits.npy"), found.numpy())


answer(
    {
        "transformers": lambda: step_of(torch.float32),
        "transformers bf16": lambda: step_of(torch.bfloat16),
        "logits": logits,
    },
    warm=0,
)
