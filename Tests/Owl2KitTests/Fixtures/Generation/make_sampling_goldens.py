"""Writes sampling.json: what Hugging Face's own logits processors make of random logits.

    pip install torch "transformers<5"
    python make_sampling_goldens.py > sampling.json

Each case holds the logits of one row, the parameters, and the probabilities of all tokens after repetition penalty,
bias, minimum of new tokens, temperature, top-k, top-p and min-p, in this order.
"""
import json
import random

import torch
from transformers import (
    MinNewTokensLengthLogitsProcessor, MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
    TopKLogitsWarper, TopPLogitsWarper)

END = 2


def probabilities(case):
    scores = torch.tensor([case["logits"]])
    ids = torch.tensor([case["prompt"] + case["output"]])
    processors = []
    if case["repetitionPenalty"] != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(case["repetitionPenalty"]))
    if case["bias"]:
        def add_bias(ids, scores):
            scores = scores.clone()
            for token, bias in case["bias"]:
                scores[0, token] += bias
            return scores
        processors.append(add_bias)
    if case["minNewTokens"]:
        processors.append(MinNewTokensLengthLogitsProcessor(len(case["prompt"]), case["minNewTokens"], END))
    if case["temperature"] != 1:
        processors.append(TemperatureLogitsWarper(case["temperature"]))
    if case["topK"]:
        processors.append(TopKLogitsWarper(case["topK"]))
    if case["topP"] < 1:
        processors.append(TopPLogitsWarper(case["topP"]))
    if case["minP"] > 0:
        processors.append(MinPLogitsWarper(case["minP"]))
    for processor in processors:
        scores = processor(ids, scores)
    return torch.softmax(scores, -1)[0].tolist()


def single(value):
    """A number that Float32 holds exactly."""
    return torch.tensor(value, dtype=torch.float32).item()


def make_case(index, generator):
    size = generator.choice([3, 7, 24, 60])
    ties = index % 4 == 0
    spread = generator.choice([0.3, 2.0, 8.0])
    logits = [generator.gauss(0, spread) for _ in range(size)]
    logits = [round(x) if ties else single(x) for x in logits]
    one = lambda value, other, share=0.4: single(value) if generator.random() < share else other
    case = {
        "logits": [float(x) for x in logits],
        "prompt": [generator.randrange(size) for _ in range(generator.randrange(1, 8))],
        "output": [generator.randrange(size) for _ in range(generator.randrange(6))],
        "repetitionPenalty": one(generator.uniform(0.5, 2), 1.0),
        "bias": [[generator.randrange(size), single(generator.uniform(-5, 5))]] if generator.random() < 0.3 else [],
        "minNewTokens": generator.randrange(1, 6) if generator.random() < 0.3 else 0,
        "temperature": one(generator.choice([0.1, 0.5, 0.7, 1.5, 4]), 1.0),
        "topK": generator.randrange(1, size + 3) if generator.random() < 0.4 else 0,
        "topP": one(generator.uniform(0.02, 0.99), 1.0, 0.6),
        "minP": one(generator.uniform(0.01, 0.6), 0.0),
    }
    if ties:
        case["topP"] = one(generator.uniform(0.02, 0.99), 1.0, 0.9)
    case["probabilities"] = [float(f"{p:.6g}") for p in probabilities(case)]
    return case


generator = random.Random(20)
lines = [json.dumps(make_case(index, generator)) for index in range(240)]
print("[\n" + ",\n".join(lines) + "\n]")
