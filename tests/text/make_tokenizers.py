#!/usr/bin/env python3
"""Writes gpt2_like.json and qwen3_like.json (two small byte-level BPE tokenizers) and encodings.json (texts and their ids) by
Hugging Face's `tokenizers` 0.23.3, which byte_level_bpe_test.cpp is held to: make_tokenizers.py FOLDER"""
import json
import lzma
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

QWEN3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = ["", " ", "It is a truth universally acknowledged,\n\n  that a single man   in possession\tof a good fortune",
         "I'll, you've; WE'RE they'd he's can't 'S", "1813 12345678 3.14", "a\n\n\nb\r\n\r\nc  \n  d \t ", "   lead and trail   ",
         "cafe\u0301 caf\u00e9 na\u00efve \u212b", "中文 文字，标点。", "😀👩‍👩‍👧 flags 🇫🇷", "a\u180eb \u180e c", "a\u00a0b\u2003c\u0085d\u3000e",
         "<|endoftext|> in the text <|im_start|>", "<think>no</think><tool_call>{}</tool_call> <thin", "()[]{}!!?? --- ...", "\u0000\u0001\u007f",
         "a" * 300, "the the the the", "\ufeffbom \u200bzero", "ÀÉÎõü ßß Ж"]


def train(tokenizer, special, lines):
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens(special)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def main(folder):
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    lines = lzma.open(os.path.join(root, "data", "austen.txt.xz"), "rt").read()[:200_000].split("\n")
    lines += ["café naïve 中文 文字 123 456\n\n", "if (x) { return y; }\n"] * 20
    gpt2 = Tokenizer(models.BPE())
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train(gpt2, ["<|endoftext|>"], lines)
    qwen3 = Tokenizer(models.BPE())
    qwen3.normalizer = normalizers.NFC()
    qwen3.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN3), "isolated"),
                                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    train(qwen3, ["<|endoftext|>", "<|im_start|>"], lines)
    qwen3.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>", "<tool_call>", "</tool_call>")])
    expected = {"texts": TEXTS}
    for name, tokenizer in (("gpt2_like", gpt2), ("qwen3_like", qwen3)):
        tokenizer.save(os.path.join(folder, name + ".json"), pretty=False)
        tokenizer.encode_special_tokens = True  # special tokens in a text are text
        expected[name] = [tokenizer.encode(t, add_special_tokens=False).ids for t in TEXTS]
    with open(os.path.join(folder, "encodings.json"), "w") as file:
        json.dump(expected, file)


main(sys.argv[1])
