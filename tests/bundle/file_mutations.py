"""Mutations of model files: bytes, sizes, names, entries and the JSON inside them, each decided by a random source."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

WORDS = (
    "", "a", "漢", "\ud800", "\x1b[31m", "\n", "x" * 300, "..", "os.system", "carried", "fresh", "window:0", "window:4",
    "window:1048576", "characters.v1", "bytes.v1", "words.v1", "series.v1", "text.v1", "table.v1", "onehot.v1",
    "linear.v1", "lstm.v1", "gru.v1", "transformer.v1", "transformer_classic.v1", "tcn.v1", "categorical.v1",
    "adaptive.v1", "adaptive_table.v1", "gaussian.v1", "bins.v1", "kneser_ney", "absolute", "null", "1", "NaN",
)  # fmt: skip
NUMBERS = (
    0, 1, -1, 2, 3, 7, 64, 65, 255, 2**16, 2**20 + 1, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63),
    10**400, 0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
DTYPES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "I64",
    "I32",
    "I16",
    "I8",
    "U8",
    "U32",
    "BOOL",
    "F8_E4M3",
    "X",
)
ARRAY_NAMES = (
    "", "network", "network.", "network.0", "network.0.", "network.1.head.bias", "network.00.head.bias",
    "network.-1.head.bias", "network.64.head.bias", "counts.elements", "counts.ngram.", "counts.ngram.children_M",
    "counts.ngram.more", "head.bias", "corpus.counts", "__metadata", "\ud800", "\n",
)  # fmt: skip

Header = dict[str, Any]


def parts(raw: bytes) -> tuple[Header, bytes]:
    """The header and what follows it."""
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def joined(header: Header, rest: bytes) -> bytes:
    return with_text(json.dumps(header), rest)


def with_text(header: str, rest: bytes) -> bytes:
    """A file whose header is any text."""
    text = header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + rest


def value_of(rng: random.Random, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind in (1, 2):
        return rng.choice(NUMBERS)
    if kind in (3, 4):
        return rng.choice(WORDS)
    if kind == 5:
        return [value_of(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 6:
        return {rng.choice(WORDS): value_of(rng, depth - 1) for _ in range(rng.randrange(4))}
    found = value_of(rng, 0)
    for _ in range(rng.choice((1, 3, 400))):
        found = [found] if rng.randrange(2) else {"settings": found}
    return found


def places_of(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a value with each of its keys."""
    keys = value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found.append((value, key))
        found += places_of(value[key])
    return found


def change_within(rng: random.Random, value: Any) -> Any:
    """A value with something in it replaced, dropped, doubled, moved or renamed."""
    places = places_of(value)
    if not places:
        return value_of(rng)
    inside, key = rng.choice(places)
    what = rng.randrange(8)
    if what < 3:
        inside[key] = value_of(rng, 1)
    elif what == 3 and type(inside[key]) in (int, float):
        inside[key] += rng.choice((-1, 1, 0.5, 10**6))
    elif what == 4:
        del inside[key]
    elif what == 5 and isinstance(inside, list):
        inside.insert(key, inside[key])
    elif what == 5:
        inside[rng.choice((*WORDS, f"{key}x"))] = inside[key]
    elif what == 6 and isinstance(inside, dict):
        inside[rng.choice((*WORDS, f"{key}x"))] = inside.pop(key)
    else:
        other, there = rng.choice(places)
        inside[key] = json.loads(json.dumps(other.get(there) if isinstance(other, dict) else None))
    return value


def flip_header(rng: random.Random, raw: bytes) -> bytes:
    size = 8 + struct.unpack("<Q", raw[:8])[0]
    return flipped(rng, raw, 0, size)


def flip_arrays(rng: random.Random, raw: bytes) -> bytes:
    size = 8 + struct.unpack("<Q", raw[:8])[0]
    return flipped(rng, raw, size, len(raw))


def flipped(rng: random.Random, raw: bytes, begin: int, end: int) -> bytes:
    """Some bytes of a part changed: a bit, or all of it."""
    made = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        made[rng.randrange(begin, end)] ^= rng.choice((1 << rng.randrange(8), 0xFF, 0x80))
    return bytes(made)


def cut(rng: random.Random, raw: bytes) -> bytes:
    """A file cut off, grown, or with a piece missing from its middle."""
    place = rng.choice((rng.randrange(len(raw)), rng.randrange(min(len(raw), 64)), len(raw) - 1))
    how = rng.randrange(4)
    if how == 0:
        return raw + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
    if how == 1:
        return raw[:place] + raw[place + rng.randrange(1, 9) :]
    return raw[:place]


def change_length(rng: random.Random, raw: bytes) -> bytes:
    (length,) = struct.unpack("<Q", raw[:8])
    wrong = rng.choice((length + rng.randrange(-9, 10), rng.randrange(2**32), rng.randrange(2**64)))
    return struct.pack("<Q", wrong % 2**64) + raw[8:]


def change_layout(rng: random.Random, raw: bytes) -> bytes:
    """A type, shape or place of an array changed."""
    header, rest = parts(raw)
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    what = rng.randrange(7)
    if what == 0:
        entry["dtype"] = rng.choice((*DTYPES, value_of(rng, 1)))
    elif what == 1:
        # Types of one width: nothing else tells that the numbers are others.
        entry["dtype"] = {"F32": "I32", "I32": "F32", "I64": "F64"}.get(entry["dtype"], "F32")
    elif what == 2:
        entry["shape"] = entry["shape"][::-1]
    elif what == 3:
        entry["shape"] = rng.choice(([], [*entry["shape"], 1], [1, *entry["shape"]], value_of(rng)))
    elif what == 4:
        entry["shape"] = [size + rng.randrange(-1, 2) for size in entry["shape"]]
    elif what == 5:
        by = rng.choice((-8, -4, 4, 8, 2**40, 2**63))
        entry["data_offsets"] = [place + by for place in entry["data_offsets"]]
    else:
        entry[rng.choice(("data_offsets", "shape", "dtype", "more"))] = value_of(rng)
    return joined(header, rest)


def shrink_array(rng: random.Random, raw: bytes) -> bytes:
    """An array made shorter, empty or longer, and everything behind it moved: a whole file with other sizes."""
    header, rest = parts(raw)
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    begin, end = entry["data_offsets"]
    rows = entry["shape"][0] if entry["shape"] else 0
    kept = rng.choice((0, max(0, rows - 1), rows + 1, rows // 2, 1)) if rows else 0
    row = (end - begin) // rows if rows else 0
    data = (rest[begin:end] + rest[begin:end])[: kept * row]
    more = len(data) - (end - begin)
    entry["shape"] = [kept, *entry["shape"][1:]]
    for name, other in header.items():
        if name != "__metadata__" and other["data_offsets"][0] >= end and other is not entry:
            other["data_offsets"] = [place + more for place in other["data_offsets"]]
    entry["data_offsets"] = [begin, begin + len(data)]
    return joined(header, rest[:begin] + data + rest[end:])


def write_numbers(rng: random.Random, raw: bytes) -> bytes:
    """Numbers of an array replaced by others of its type that mean much."""
    header, rest = parts(raw)
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    begin, end = entry["data_offsets"]
    form = {"F32": "<f", "I32": "<i", "I64": "<q", "U8": "<B"}[entry["dtype"]]
    size, made = struct.calcsize(form), bytearray(rest)
    if begin == end:
        return raw
    for _ in range(rng.choice((1, 1, 3))):
        place = begin + size * rng.randrange((end - begin) // size)
        (before,) = struct.unpack_from(form, rest, place)
        if form == "<f":
            value = rng.choice((float("nan"), float("inf"), 0.0, 3e38, -before))
        else:
            least, most = (
                (0, 256) if form == "<B" else (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1))
            )
            value = rng.choice((-1, 0, 1, before + 1, before - 1, most - 1, least, 5, 10**6))
            value = max(least, min(most - 1, value))
        struct.pack_into(form, made, place, value)
    return joined(header, bytes(made))


def replace_entry(rng: random.Random, raw: bytes) -> bytes:
    """A metadata entry replaced by any JSON, or any text."""
    header, rest = parts(raw)
    metadata = header["__metadata__"]
    name = rng.choice([*metadata, "more"])
    metadata[name] = rng.choice(
        (json.dumps(value_of(rng)), json.dumps(value_of(rng)), rng.choice(WORDS))
    )
    if not rng.randrange(12):
        metadata[name] = value_of(rng)
    return joined(header, rest)


def change_entry(rng: random.Random, raw: bytes) -> bytes:
    """Something changed within the JSON of a metadata entry."""
    header, rest = parts(raw)
    metadata = header["__metadata__"]
    names = [name for name in metadata if metadata[name][:1] in "{["]
    for _ in range(rng.choice((1, 1, 1, 2))):
        name = rng.choice(names)
        metadata[name] = json.dumps(change_within(rng, json.loads(metadata[name])))
    return joined(header, rest)


def change_tokenizer(rng: random.Random, raw: bytes) -> bytes:
    """Something changed within the description of the encoder, whose vocabulary is JSON inside JSON."""
    header, rest = parts(raw)
    encoder = json.loads(header["__metadata__"]["encoder"])
    if "tokenizer" not in encoder:
        encoder = change_within(rng, encoder)
    elif rng.randrange(4):
        inner = change_within(rng, json.loads(encoder["tokenizer"]))
        encoder["tokenizer"] = json.dumps(inner)
    else:
        encoder["settings"] = change_within(rng, encoder["settings"])
    header["__metadata__"]["encoder"] = json.dumps(encoder)
    return joined(header, rest)


def rename_array(rng: random.Random, raw: bytes) -> bytes:
    header, rest = parts(raw)
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    near = (name.upper(), f"{name}x", name.replace(".0.", ".1."), name.partition(".")[2], name[:-1])
    other = rng.choice((*near, *ARRAY_NAMES, rng.choice(names)))
    entry = header.pop(name)
    header[other] = entry
    return joined(header, rest)


def drop(rng: random.Random, raw: bytes) -> bytes:
    """An entry, array or all metadata missing; data of what is missing stay, or go with it."""
    header, rest = parts(raw)
    what = rng.randrange(3)
    if what == 0:
        del header["__metadata__"][rng.choice(list(header["__metadata__"]))]
        return joined(header, rest)
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    begin, end = header.pop(name)["data_offsets"]
    if what == 1:
        return joined(header, rest)
    for other in names:
        if other != name and header[other]["data_offsets"][0] >= end:
            offsets = header[other]["data_offsets"]
            header[other]["data_offsets"] = [place - (end - begin) for place in offsets]
    return joined(header, rest[:begin] + rest[end:])


def double(rng: random.Random, raw: bytes) -> bytes:
    """An array or entry that is there twice: under another name, or under its own with other contents."""
    header, rest = parts(raw)
    names = [name for name in header if name != "__metadata__"]
    name = rng.choice(names)
    what = rng.randrange(4)
    if what == 0:
        header[rng.choice((f"{name}x", *ARRAY_NAMES))] = dict(header[name])
        return joined(header, rest)
    if what == 1:  # its data, too
        begin, end = header[name]["data_offsets"]
        offsets = [len(rest), len(rest) + end - begin]
        header[rng.choice((f"{name}x", name.replace(".0.", ".1."), *ARRAY_NAMES))] = {
            **header[name],
            "data_offsets": offsets,
        }
        return joined(header, rest + rest[begin:end])
    text = json.dumps(header)
    if what == 2:
        again = json.dumps({name: header[rng.choice(names)]})[1:-1]
        return with_text(f"{text[:-1]}, {again}}}", rest)
    metadata = header["__metadata__"]
    entry = rng.choice(list(metadata))
    other = rng.choice((metadata[entry], json.dumps(value_of(rng))))
    place = text.index('"__metadata__": {') + len('"__metadata__": {')
    return with_text(
        f"{text[:place]}{json.dumps(entry)}: {json.dumps(other)}, {text[place:]}", rest
    )


def change_members(rng: random.Random, raw: bytes) -> bytes:
    """The weights of the members, or a second member that is there in part, whole, or only by its weight."""
    header, rest = parts(raw)
    metadata = header["__metadata__"]
    weights = json.loads(metadata["members"])
    what = rng.randrange(4)
    weights = change_within(rng, weights) if what == 0 else [1.0, rng.choice(NUMBERS)]
    if what >= 2:
        for name in [name for name in header if name.startswith("network.0.")]:
            if what == 3 and not rng.randrange(4):
                continue
            begin, end = header[name]["data_offsets"]
            offsets = [len(rest), len(rest) + end - begin]
            header[name.replace(".0.", ".1.", 1)] = {**header[name], "data_offsets": offsets}
            rest += rest[begin:end]
    metadata["members"] = json.dumps(weights)
    return joined(header, rest)


def lose_network(rng: random.Random, raw: bytes) -> bytes:
    """The network taken out, in whole or in part."""
    header, rest = parts(raw)
    metadata = header["__metadata__"]
    if rng.randrange(4):
        metadata["network"] = "null"
    if rng.randrange(4):
        metadata["members"] = "[]"
    if rng.randrange(4):
        kept, data = {}, b""
        for name, entry in header.items():
            if name == "__metadata__" or name.startswith("network."):
                continue
            begin, end = entry["data_offsets"]
            kept[name] = {**entry, "data_offsets": [len(data), len(data) + end - begin]}
            data += rest[begin:end]
        header, rest = {"__metadata__": metadata, **kept}, data
    return joined(header, rest)


MUTATIONS: tuple[tuple[Callable[[random.Random, bytes], bytes], int], ...] = (
    (flip_header, 8),
    (flip_arrays, 8),
    (cut, 5),
    (change_length, 3),
    (change_layout, 10),
    (shrink_array, 6),
    (write_numbers, 10),
    (replace_entry, 8),
    (change_entry, 25),
    (change_tokenizer, 6),
    (rename_array, 6),
    (drop, 6),
    (double, 6),
    (change_members, 6),
    (lose_network, 3),
)
"""Each with its share."""


def mutated(rng: random.Random, raw: bytes) -> tuple[str, bytes]:
    """The name of a mutation, and what it makes of a file."""
    (change,) = rng.choices(
        [change for change, _ in MUTATIONS], weights=[share for _, share in MUTATIONS]
    )
    return change.__name__, change(rng, raw)
