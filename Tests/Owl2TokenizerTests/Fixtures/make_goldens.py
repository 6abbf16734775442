#!/usr/bin/env python3
"""Writes the token ids and texts that the tokenizer's tests expect, as SentencePiece gives them.

    pip install sentencepiece protobuf
    make_goldens.py TOKENIZER_MODEL OUTPUT.json

Schema of the output:
    texts      [{text, ids, continuation, decoded}]  ids of one stretch of text, the same without the leading space,
                                                     and the text of the ids
    prompts    [{raw, legacy, modern}]               ids of a raw prompt for both values of "legacy"
    decodings  [{ids, text}]                         any ids, and their text
"""
import json
import random
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

IMAGE = -200

TEXTS = [
    "", " ", "  ", "   a", "a", " a", "a ", "Hello world", "hello  world", "What color is the circle?", "\n", "\n\n\n",
    "\t tab", "line\r\nbreak", "the the the", "theTHEthe", "USER: ", "ASSISTANT:", "ASSISTANT: ", "12345 67.89 1e-5",
    "def f(x):\n    return x + 1\n", "{\"k\": [1, 2.5, null]}", "https://example.org/a?b=c&d=%20", "0xFF <0x0A> <0x41>",
    "\u2581", "\u2581\u2581the", "a\u2581b", "\u00e9", "e\u0301", "\u0301", "a\u0300\u0301\u0302", "\ufffd", "a\ufffd",
    "\0", "a\0b", "\u200b", "\u00a0", "\u3000", "\ufeff", "\u7ea2\u8272\u7684\u5706\u5f62", "\u3053\u3093\u306b\u3061\u306f",
    "\uc548\ub155", "\u041f\u0440\u0438\u0432\u0435\u0442", "\u0645\u0631\u062d\u0628\u0627", "\u05e9\u05dc\u05d5\u05dd",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\U0001f600", "\U0001f44d\U0001f3fd",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e8\U0001f1ed", "\u2764\ufe0f", "\U0010ffff", "\ud7ff\ue000",
    "</s>", "<s>", "<unk>", "<|image|>", "</s><|image|>", "a</s>b", "<s", "<|image|", "<<s>>", "aaaaaaaaaaaaaaaa",
    "a" * 100, " " * 40, "ab" * 30, "-" * 33, "supercalifragilisticexpialidocious", "<pad>", "\x01\x02\x1f\x7f\x80",
]

# A prompt is a list of its parts; texts stand between control tokens and images.
S, E, U = "<s>", "</s>", "<unk>"
I = "<|image|>"
PROMPTS = [
    [], [I], [I, I], ["a"], [S], [E], [U], [E, "a"], [E, " a"], ["a", E], ["a", E, "b"], ["a", E, " b", U, "c"],
    ["USER: ", I, "What color is the circle? ASSISTANT:"], ["USER: ", I, I, "Are they the same? ASSISTANT: "],
    [I, "text"], ["text", I], ["text", I, I, I], [I, " text"], [I, E, "text"], ["a", I, "b", E, "c", I, E, I, "d"],
    ["USER: ", I, "q1 ASSISTANT: a1", E, "USER: q2 ASSISTANT:"], [S, "a", I, S, "b"], [S, S, " ", E, "\n"],
    ["\u0301", I, "\u0301", E, "\u0301"], ["<s", E, ">", I, "|>"], ["<", I, ">"], ["a ", E, " b ", I, " c "],
]


def random_text(generator):
    alphabets = [
        lambda: generator.choice("abcdefghijklmnopqrstuvwxyz etaoin  ETAOIN.,:;?!"),
        lambda: chr(generator.randint(0x20, 0x7E)),
        lambda: chr(generator.randint(0x4E00, 0x9FA5)),
        lambda: chr(generator.randint(0x300, 0x36F)),
        lambda: chr(generator.randint(0x1F300, 0x1F6FF)),
        lambda: chr(generator.randint(0xA0, 0x52F)),
        lambda: generator.choice(["<s>", "</s>", "<unk>", I, "\n", "\t", "\u200d", " the", " image", " square"]),
    ]
    return "".join(generator.choice(alphabets)() for _ in range(generator.choice([2, 5, 10, 30])))


def prompt_ids(parts, begin, encode, encode_continuation, legacy):
    ids, at_start = [begin], True
    for part in parts:
        if part == I:
            ids.append(IMAGE)
        elif part in (S, E, U):
            ids.append({S: 1, E: 2, U: 0}[part])
        else:
            ids += encode(part) if at_start or legacy else encode_continuation(part)
        at_start = part == I
    return ids


def random_ids(generator, size):
    bytes_of = lambda code: [3 + byte for byte in chr(code).encode()]
    parts = [
        lambda: [generator.randrange(size)],
        lambda: [generator.randint(0, 2)],
        lambda: [generator.randint(3, 258)],
        lambda: bytes_of(generator.randint(0x80, 0xD7FF)),
        lambda: bytes_of(generator.randint(0x10000, 0x10FFFF)),
        lambda: bytes_of(generator.randint(0x10000, 0x10FFFF))[: generator.randint(1, 3)],
        lambda: [3 + generator.choice([0xC0, 0xC1, 0xE0, 0xED, 0xF0, 0xF4, 0xF5, 0xFF, 0x80, 0x90, 0xA0, 0xBF])],
    ]
    return sum((generator.choice(parts)() for _ in range(generator.choice([1, 2, 4, 12]))), [])


def main(model, output):
    whole = sentencepiece.SentencePieceProcessor(model)
    content = sentencepiece_model_pb2.ModelProto.FromString(whole.serialized_model_proto())
    content.normalizer_spec.add_dummy_prefix = False
    bare = sentencepiece.SentencePieceProcessor(model_proto=content.SerializeToString())
    generator = random.Random(2311)
    texts = TEXTS + [random_text(generator) for _ in range(200)]
    id_lists = [[], [0], [1, 2], [3], [258], [259], [1, 259, 259]] + [
        random_ids(generator, whole.vocab_size()) for _ in range(200)]
    goldens = {
        "texts": [
            {"text": t, "ids": whole.encode(t), "continuation": bare.encode(t), "decoded": whole.decode(whole.encode(t))}
            for t in texts],
        "prompts": [
            {"raw": "".join(p), **{
                name: prompt_ids(p, whole.bos_id(), whole.encode, bare.encode, legacy)
                for name, legacy in [("legacy", True), ("modern", False)]}}
            for p in PROMPTS],
        "decodings": [{"ids": ids, "text": whole.decode(ids)} for ids in id_lists],
    }
    with open(output, "w") as file:
        # A case per line keeps differences readable.
        parts = ",\n".join(
            f'"{key}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for key, cases in goldens.items())
        file.write("{\n" + parts + "\n}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
