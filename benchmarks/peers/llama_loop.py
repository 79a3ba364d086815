"""Texts by llama.cpp, from GGUF files with the weights of our transformer: llama_loop.py WEIGHTS.npz ASKED.

Its C functions are called one by one: an element is decoded, the next one drawn by its sampler at temperature 1. With and
without flash attention, with as many threads as are asked for or one: what is fastest in a short trial is taken.
"""

import itertools
import json
import statistics
import sys
import time
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from answering import answer

path, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
HEADS, WRITTEN = asked["heads"], asked["written"]
KINDS = {"f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
ENDS = {
    "input.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "head.weight": "output.weight",
}
llama_cpp.llama_backend_init()


def their_name(name):
    if name in ENDS:
        return ENDS[name]
    _, _, layer, part = name.removesuffix(".weight").split(".", 3)
    return f"blk.{layer}.{PARTS[part]}.weight"


def in_pairs(matrix):
    """Rows of queries and keys as their rotation takes them: neighbours, where ours are half a head apart."""
    outputs, depth = matrix.shape
    return matrix.reshape(HEADS, 2, -1, depth).swapaxes(1, 2).reshape(outputs, depth)


def written(kind):
    """The file of a kind of weights."""
    file, weights = path.with_suffix(f".{kind}.gguf"), dict(np.load(path))
    vocab, width = weights["head.weight"].shape
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_vocab_size(vocab)
    writer.add_context_length(WRITTEN)
    writer.add_embedding_length(width)
    writer.add_block_count(sum(name.endswith("up_proj.weight") for name in weights))
    writer.add_feed_forward_length(len(weights["model.layers.0.mlp.up_proj.weight"]))
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(width // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("no_vocab")
    for name, array in weights.items():
        own = in_pairs(array) if name.endswith(("q_proj.weight", "k_proj.weight")) else array
        if own.ndim == 1:
            writer.add_tensor(their_name(name), own)
        else:
            rounded = gguf.quants.quantize(own, KINDS[kind])
            writer.add_tensor(their_name(name), rounded, raw_dtype=KINDS[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def model_of(kind):
    model = llama_cpp.llama_model_load_from_file(
        str(written(kind)).encode(), llama_cpp.llama_model_default_params()
    )
    assert model, "the file was not read"
    return model


def context_of(model, threads, flash):
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = params.n_batch = WRITTEN
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = int(flash)
    params.no_perf = True
    context = llama_cpp.llama_init_from_model(model, params)
    assert context, "no context"
    return context


class Reader:
    """Elements one at a time."""

    def __init__(self, context):
        self.context = context
        self._token = (llama_cpp.llama_token * 1)()
        self._batch = llama_cpp.llama_batch_get_one(self._token, 1)

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def read(self, element):
        self._token[0] = element
        failed = llama_cpp.llama_decode(self.context, self._batch)
        assert not failed, failed


def step_of(kind):
    model = model_of(kind)
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(0))

    def write(reader, length):
        reader.clear()
        element = 0
        for _ in range(length):
            reader.read(element)
            element = llama_cpp.llama_sampler_sample(chain, reader.context, -1)
        return length

    ways = list(itertools.product(sorted({1, asked["threads"]}), (False, True)))
    readers = {way: Reader(context_of(model, *way)) for way in ways}
    found = {way: [] for way in ways}
    for _ in range(3):
        for way, reader in readers.items():
            write(reader, 8)
            began = time.perf_counter()
            write(reader, WRITTEN // 4)
            found[way].append(WRITTEN // 4 / (time.perf_counter() - began))
    middle = {way: statistics.median(rates) for way, rates in found.items()}
    best = max(middle, key=middle.get)
    print({key: round(value) for key, value in middle.items()}, best, file=sys.stderr, flush=True)
    return lambda: write(readers[best], WRITTEN)


def logits():
    reader, found = Reader(context_of(model_of("f16"), 1, flash=False)), []
    vocab = len(np.load(path)["head.weight"])
    for element in np.load(path.with_suffix(".ids.npy"))[0]:
        reader.read(int(element))
        told = llama_cpp.llama_get_logits_ith(reader.context, -1)
        found.append(np.ctypeslib.as_array(told, shape=(vocab,)).copy())
    np.save(path.with_suffix(".logits.npy"), np.stack(found)[None])


answer(
    {
        "llama.cpp f16": lambda: step_of("f16"),
        "llama.cpp q8_0": lambda: step_of("q8_0"),
        "logits": logits,
    },
    warm=0,
)
