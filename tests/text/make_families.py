#!/usr/bin/env python3
"""Writes families.json: the pre-tokenizers of known model families, texts, and the ids that Hugging Face's `tokenizers` 0.23.3 gives
them with one model, whose merges do not care for words, so that another split gives other ids: make_families.py FOLDER"""
import json
import os
import random
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}"
HAN = r"&&[^\p{Han}]]"
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?" + UPPER + HAN + "*" + LOWER + HAN + "+" + CONTRACTIONS + r"?|[^\r\n\p{L}\p{N}]?" + UPPER + HAN +
        "+" + LOWER + HAN + "*" + CONTRACTIONS + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "]*" + LOWER + "]+" + CONTRACTIONS + r"?|[^\r\n\p{L}\p{N}]?" + UPPER + "]+" + LOWER + "]*" +
         CONTRACTIONS + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "]*" + LOWER + r"]+|[^\r\n\p{L}\p{N}]?" + UPPER + "]+" + LOWER +
          r"]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_LLM = [r"[\r\n]", r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ]+",
                r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", r"[一-龥ࠀ-一가-퟿]+"]
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
QWEN35 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
GRANITE = (r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))|[^\r\n\p{L}\p{N}]?\p{L}+|[^\s\p{L}\p{N}]+|\s+")

TEXTS = ["Hello世界 and 世界world", "I'm 世界's 2026, WE'LL, they'VE", "if (a && b) { return x[1234567]; }\n\n\treturn;", "   lead\n \n  trail \n  ",
         "camelCase HTTPServer_x ÉtéÀ", "a\u0301e\u0308 हिन्दी ไทย 한국어", "²½ 3.14 1,000,000 ٣٤ Ⅷ①", "//http://a.b/c?d=e#f\r\n\r\n--x", "、。！あいアイー「x」",
         "😀👩\u200d🇫🇷 ❤️!!", "a\u00a0b\u3000c\u0085d\u180ee \t", "'s'S'ſ 'll'LL 'K", "(x|y).,… ।", "x", " ", "\n", "1234", "12 34567", "xa.bc a.b axb", "£5 µm 25°C", "don’t “q”"]


def split(regex, behaviour="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behaviour, "invert": invert}


def byte_level(regex=False):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}


def sequence(*stages):
    return {"type": "Sequence", "pretokenizers": list(stages)}


FAMILIES = {
    "GPT-2, GPT-NeoX, Phi": byte_level(True),
    "Llama 3": sequence(split(LLAMA3), byte_level()),
    "Qwen2, Qwen3": sequence(split(LLAMA3.replace("{1,3}", "")), byte_level()),
    "Qwen3.5": sequence(split(QWEN35), byte_level()),
    "Kimi K2": sequence(split(KIMI), byte_level()),
    "o200k, gpt-oss": sequence(split(O200K), byte_level()),
    "cl100k, possessive": sequence(split(CL100K), byte_level()),
    "Mistral Tekken": sequence(split(TEKKEN), byte_level()),
    "DeepSeek LLM, V2": sequence(*[split(p) for p in DEEPSEEK_LLM], {"type": "Digits", "individual_digits": True}, byte_level()),
    "DeepSeek V3": sequence(split(r"\p{N}{1,3}"), split(r"[一-龥\u3040-ゟ゠-ヿ]+".replace("\\u3040", "\u3040")), split(DEEPSEEK3), byte_level()),
    "StarCoder": sequence({"type": "Digits", "individual_digits": True}, byte_level(True)),
    "Falcon": sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(True), {"type": "Digits", "individual_digits": False},
                       split("[0-9][0-9][0-9]")),
    "BLOOM": sequence(split(BLOOM), byte_level()),
    "groups of three from the right": sequence(split(GRANITE), byte_level()),
    "a String": sequence({"type": "Split", "pattern": {"String": "a.b"}, "behavior": "Isolated", "invert": False}, byte_level(True)),
    "Contiguous": sequence(split("[a-z]{2}|[0-9]", "Contiguous"), byte_level()),
    "inverted": sequence(split("[a-z]+", "Isolated", True), byte_level()),
    "matches of nothing": sequence(split(r"(?=[A-Z])|(?<=[a-z])(?=[0-9])"), byte_level()),
    "Punctuation alone": sequence({"type": "Punctuation", "behavior": "Isolated"}, byte_level()),
}


def main(folder):
    random.seed(1)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([t for t in TEXTS for _ in range(2)] + ["".join(random.sample(TEXTS, 2)) for _ in range(20)], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.decoder = decoders.ByteLevel()
    whole = json.loads(tokenizer.to_str())
    out = {"texts": TEXTS, "tokenizer": whole, "families": []}
    for name, pre_tokenizer in FAMILIES.items():
        whole["pre_tokenizer"] = pre_tokenizer
        made = Tokenizer.from_str(json.dumps(whole))
        out["families"].append({"name": name, "pre_tokenizer": pre_tokenizer, "ids": [made.encode(t, add_special_tokens=False).ids for t in TEXTS]})
    distinct = {json.dumps(f["ids"]) for f in out["families"]}
    print(len(out["families"]), "families,", len(distinct), "of them differ")
    with open(os.path.join(folder, "families.json"), "w") as file:
        json.dump(out, file)


main(sys.argv[1])
