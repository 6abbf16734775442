#!/usr/bin/env python3
"""Fills in the answers of questions.json: the greedy ones of a reference implementation in PyTorch.

    pip install torch numpy pillow sentencepiece protobuf safetensors
    ./answer.py REFERENCE MODEL

REFERENCE is the folder of the reference (oracle.py and owl2_ref.py), MODEL that of the model.
"""
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STEPS = 64


class Reference:
    """Answers questions the slow way."""

    def __init__(self, folder, model):
        sys.path.insert(0, folder)
        import oracle, owl2_ref, sentencepiece, torch
        self.oracle, self.owl2_ref, self.torch = oracle, owl2_ref, torch
        self.weights, self.configuration = oracle.load_checkpoint(model)
        self.pieces = sentencepiece.SentencePieceProcessor(os.path.join(model, "tokenizer.model"))
        self.legacy = oracle.is_legacy(model)

    def converse(self, turns):
        """The answers of (images, question) turns, each turn seeing those before it."""
        ids, pixels, answers = [], [], []
        for images, question in turns:
            prompt = "USER: " + "<|image|>" * len(images) + question + " ASSISTANT:"
            prompt = prompt if not ids else "</s>" + prompt
            ids += self.oracle.prompt_ids(self.pieces, prompt, self.legacy)[1 if ids else 0:]
            pixels += [self.oracle.preprocess(HERE / name, self.configuration) for name in images]
            stack = self.torch.stack(pixels) if pixels else None
            answer = self.owl2_ref.greedy(self.weights, self.configuration, ids, stack, STEPS)
            answer = [token for token in answer if token != self.pieces.eos_id()]
            ids += answer
            answers.append(self.pieces.decode(answer).strip())
        return answers


def main():
    reference = Reference(*sys.argv[1:3])
    path = HERE / "questions.json"
    entries = json.loads(path.read_text())
    for entry in entries:
        turns = entry.get("turns", [entry])
        answers = reference.converse([(turn["images"], turn["question"]) for turn in turns])
        for turn, answer in zip(turns, answers):
            turn["answer"] = answer
            print(turn["images"], repr(turn["question"]), "->", answer)
    path.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
