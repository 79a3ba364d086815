"""Loops of torch and onnxruntime over the weights of an LSTM: onnxruntime_loop.py WEIGHTS.npz ASKED.

torch: nn.LSTM a step at a time, without oneDNN and with it. onnxruntime: one graph for a step, its first layer's products
with the inputs folded into the table, each layer one product with what it remembers; and a graph with the LSTM operator.
All sample by a cumulated softmax. onnxruntime does so inside the graph or in numpy, with weights packed or as they are, with
as many threads as are asked for or one: what is fastest in a short trial is taken.
"""

import itertools
import json
import statistics
import sys

import numpy as np
import onnx
import onnxruntime
import torch
from answering import answer, rate
from onnx import TensorProto, helper, numpy_helper

weights = dict(np.load(sys.argv[1]))
asked = json.loads(sys.argv[2])
ROWS, THREADS = asked["rows"], asked["threads"]
VOCAB, WIDTH = weights["input.weight"].shape
SIZE = weights["model.weight_hh_l0"].shape[1]
LAYERS = sum(name.startswith("model.weight_hh") for name in weights)
torch.set_num_threads(THREADS)
AHEAD = 1024
"""Uniforms that are drawn at once."""
PIECE = 16
"""Steps of torch between two looks at the clock."""


def torch_step(fused):
    network = torch.nn.LSTM(WIDTH, SIZE, LAYERS, batch_first=True).eval()
    arrays = {name: torch.from_numpy(array) for name, array in weights.items()}
    network.load_state_dict(
        {k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")}
    )
    table, weight, bias = (arrays[key] for key in ("input.weight", "head.weight", "head.bias"))
    elements, state = torch.zeros(ROWS, 1, dtype=torch.int64), None

    @torch.inference_mode()
    def step():
        nonlocal elements, state
        with torch.backends.mkldnn.flags(enabled=fused):
            for _ in range(PIECE):
                y, state = network(table[elements], state)
                share = torch.softmax(torch.nn.functional.linear(y[:, 0], weight, bias), dim=-1)
                mass = share.cumsum(dim=-1)
                point = torch.rand(ROWS, 1) * mass[:, -1:]
                elements = torch.searchsorted(mass, point, right=True).clamp_max_(VOCAB - 1)
        return ROWS * PIECE

    return step


class Graph:
    """Nodes and constants, added one after the other."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def add(self, kind, *inputs, outputs=1, **settings):
        names = [f"n{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **settings))
        return names[0] if outputs == 1 else names

    def call(self, kind, inputs, output):
        self.nodes.append(helper.make_node(kind, inputs, [output]))


def folded(graph):
    """Features and the new state, each gate's products in one; sigmoids side by side: i, f, o, then g."""
    order = np.concatenate([np.arange(SIZE) + SIZE * gate for gate in (0, 1, 3, 2)])
    y, state = None, {}
    for layer in range(LAYERS):
        past = weights[f"model.weight_hh_l{layer}"][order]
        inputs = weights[f"model.weight_ih_l{layer}"][order]
        bias = (weights[f"model.bias_ih_l{layer}"] + weights[f"model.bias_hh_l{layer}"])[order]
        h, c = f"h{layer}", f"c{layer}"
        if layer == 0:
            table = graph.constant(weights["input.weight"] @ inputs.T + bias)
            z = graph.add("Gather", table, "elements")
            z = graph.add("Gemm", h, graph.constant(past.T), z)
        else:
            both = graph.add("Concat", y, h, axis=1)
            matrix = graph.constant(np.concatenate((inputs, past), axis=1).T)
            z = graph.add("Gemm", both, matrix, graph.constant(bias))
        sizes = graph.constant(np.array([3 * SIZE, SIZE]))
        gates, new = graph.add("Split", z, sizes, outputs=2, axis=1)
        each = graph.constant(np.array([SIZE] * 3))
        i, f, o = graph.add("Split", graph.add("Sigmoid", gates), each, outputs=3, axis=1)
        kept, taken = graph.add("Mul", f, c), graph.add("Mul", i, graph.add("Tanh", new))
        graph.call("Add", [kept, taken], f"new_{c}")
        graph.call("Mul", [o, graph.add("Tanh", f"new_{c}")], f"new_{h}")
        state |= {h: [ROWS, SIZE], c: [ROWS, SIZE]}
        y = f"new_{h}"
    return y, state


def operator(graph):
    """The same by the LSTM operator, whose gates are i, o, f, c, on one step."""
    order = np.concatenate([np.arange(SIZE) + SIZE * gate for gate in (0, 3, 1, 2)])
    first = graph.constant(np.array([0]))
    x = graph.add("Unsqueeze", graph.add("Gather", graph.constant(weights["input.weight"]), "elements"), first)  # fmt: skip
    state = {}
    for layer in range(LAYERS):
        inputs, past = (
            weights[f"model.weight_{which}_l{layer}"][order][None] for which in ("ih", "hh")
        )
        bias = np.concatenate([weights[f"model.bias_{w}_l{layer}"][order] for w in ("ih", "hh")])
        h, c = f"h{layer}", f"c{layer}"
        arrays = [graph.constant(array) for array in (inputs, past, bias[None])]
        graph.nodes.append(
            helper.make_node(
                "LSTM",
                [x, *arrays, "", h, c],
                ["", f"new_{h}", f"new_{c}"],
                hidden_size=SIZE,
            )
        )
        state |= {h: [1, ROWS, SIZE], c: [1, ROWS, SIZE]}
        x = f"new_{h}"
    return graph.add("Squeeze", x, first), state


def model_of(features, inside):
    """A step as a model: elements, and a uniform if it samples inside, to elements or to shares."""
    graph = Graph()
    y, state = features(graph)
    matrix, bias = graph.constant(weights["head.weight"].T), graph.constant(weights["head.bias"])
    logits = graph.add("Gemm", y, matrix, bias)
    inputs = {"elements": (TensorProto.INT64, [ROWS])}
    if inside:
        share = graph.add("Softmax", logits, axis=1)
        mass = graph.add("CumSum", share, graph.constant(np.array(1)))
        below = graph.add("Cast", graph.add("LessOrEqual", mass, "point"), to=TensorProto.INT64)
        count = graph.add("ReduceSum", below, graph.constant(np.array([1])), keepdims=0)
        graph.call("Min", [count, graph.constant(np.array(VOCAB - 1))], "chosen")
        inputs["point"] = (TensorProto.FLOAT, [ROWS, 1])
        outputs = {"chosen": (TensorProto.INT64, [ROWS])}
    else:
        graph.nodes.append(helper.make_node("Softmax", [logits], ["share"], axis=1))
        outputs = {"share": (TensorProto.FLOAT, [ROWS, VOCAB])}
    inputs |= {name: (TensorProto.FLOAT, shape) for name, shape in state.items()}
    outputs |= {f"new_{name}": (TensorProto.FLOAT, shape) for name, shape in state.items()}
    told = [
        [helper.make_tensor_value_info(name, *kind) for name, kind in side.items()]
        for side in (inputs, outputs)
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "step", *told, graph.constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(), state


def session_step(model, state, inside, packed, threads):
    """A step that goes back and forth between two sets of arrays, none of them made anew."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "0" if packed else "1")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    elements = np.zeros(ROWS, dtype=np.int64)
    points, share = np.zeros((ROWS, 1), np.float32), np.zeros((ROWS, VOCAB), np.float32)
    sides = [{name: np.zeros(shape, np.float32) for name, shape in state.items()} for _ in "ab"]
    bindings = []
    for old, new in (sides, sides[::-1]):
        binding = session.io_binding()

        def bind(way, name, array):
            way(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))

        bind(binding.bind_ortvalue_input, "elements", elements)
        if inside:
            bind(binding.bind_ortvalue_input, "point", points)
            bind(binding.bind_ortvalue_output, "chosen", elements)
        else:
            bind(binding.bind_ortvalue_output, "share", share)
        for name in state:
            bind(binding.bind_ortvalue_input, name, old[name])
            bind(binding.bind_ortvalue_output, f"new_{name}", new[name])
        bindings.append(binding)
    random, turns = np.random.default_rng(0), itertools.cycle(bindings)
    drawn = iter(())

    def step():
        nonlocal drawn
        point = next(drawn, None)
        if point is None:
            drawn = iter(random.random((AHEAD, ROWS, 1), dtype=np.float32))
            point = next(drawn)
        points[:] = point
        session.run_with_iobinding(next(turns))
        if inside:
            return ROWS
        mass = share.cumsum(axis=1)
        if ROWS == 1:
            elements[0] = min(mass[0].searchsorted(point[0, 0] * mass[0, -1], "right"), VOCAB - 1)
        else:
            goals = point[:, 0] * mass[:, -1]
            for row, goal in enumerate(goals):
                elements[row] = min(mass[row].searchsorted(goal, "right"), VOCAB - 1)
        return ROWS

    return step


def onnx_step(features):
    """The fastest of the ways to run it."""
    steps = {}
    for inside in (True, False):
        model, state = model_of(features, inside)
        for packed, threads in itertools.product((True, False), sorted({1, THREADS})):
            steps[inside, packed, threads] = session_step(model, state, inside, packed, threads)
    found = {key: [] for key in steps}
    for _ in range(3):
        for key, step in steps.items():
            found[key].append(rate(step, 0.1, warm=4))
    middle = {key: statistics.median(rates) for key, rates in found.items()}
    best = max(middle, key=middle.get)
    print({key: round(value) for key, value in middle.items()}, best, file=sys.stderr, flush=True)
    return steps[best]


answer(
    {
        "torch": lambda: torch_step(False),
        "torch oneDNN": lambda: torch_step(True),
        "onnxruntime": lambda: onnx_step(folded),
        "onnxruntime LSTM": lambda: onnx_step(operator),
    },
    warm=4,
)
