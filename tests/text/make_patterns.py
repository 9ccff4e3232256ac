#!/usr/bin/env python3
"""Writes patterns.json: regular expressions, texts, and where Hugging Face's `tokenizers` 0.23.3 (Oniguruma 6.9.10) splits the texts by
them, in bytes. onig_syntax_test.cpp holds ours to it: make_patterns.py FOLDER"""
import json
import os
import sys

from tokenizers import Regex, pre_tokenizers

PROPERTIES = ("L Lu Ll Lt Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Co LC letter Uppercase_Letter "
              "Alpha Alphabetic Alnum Upper Lower Space White_Space Blank Cntrl Digit XDigit Graph Print Punct Punctuation Word ASCII Any Assigned Emoji "
              "Han Hiragana Katakana Hangul Latin Greek Cyrillic Arabic Hebrew Thai Devanagari Common Inherited Armenian Georgian").split()
POSIX = "alpha alnum upper lower space blank cntrl digit xdigit graph print punct word ascii".split()
PATTERNS = [rf"\p{{{p}}}" for p in PROPERTIES] + [rf"[^x\p{{{p}}}]" for p in PROPERTIES] + [f"[[:{p}:]]" for p in POSIX] + [f"[1[:^{p}:]]" for p in POSIX]
PATTERNS += [r"\p{^L}", r"\P{^L}", r"\P{Han}", r"\p{ l e t-t_e r }", r"[\P{L}1]", r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\h", r"\H", r"[\w]", r"[\W]", r"[^\w]", r"[\D\s]",
             r"[\S]", r"[\h]", r"[\H]", r"\b", r"\B", r"\R", r"\N", r"\O", ".", "(?m:.)", "(?m)a.", "a.", "^", "$", r"\A", r"\z", r"\Z", "^b", "a$", r"b\Z"]
PATTERNS += ["[a[b]]", "[a[^b]c]", "[^a[^b]]", "[^[^a]b]", "[a-c[^x-z]]", "[a&&b]", "[a&b]", "[^a&&a-c]", "[a-c&&[^b]]", "[^a-c&&[^d]]", "[a-d&&b-e&&c]", "[ab&&[bc]d]",
             "[[ab]c&&bc]", "[[a-c][x-z]&&[b-y]]", "[-a]", "[a-]", r"[\p{L}-]", "[]a]", "[^]a]", r"[\b]", "[[.a.]]", "[[=a=]]", "[:alpha:]", r"[\x41-\x43]", r"[\u4e00-\u9fff]+",
             r"[\x{4e00}-\x{9fff}]+", r"[!-\/]", r"[\t-\r]", r"[\p{Lu}\p{M}&&[^\p{Han}]]+", r"[\p{L}&&\p{Han}]", "[一-龥]+"]
PATTERNS += ["a{,2}", "a{2}?", "xa{2}?", "a{1,3}+", "a{2}+", "a{2,}+", "a{1,3}+a", "a?+a", "a++a", "a*+b", "a{1,3}?", "a{2,}?", "a{,3}+", "a{0}", "a{", "a{x}", "{x", "a}", "a]",
             "a??", "x*", r"\s*", "(?=[A-Z])", "a||b", "|a", "", "()*b", "(?:)", "(?>a|ab)c", "(?<n>a)b", "(a|b)+", "(?<=a|bc)x", r"(?<!\s)x", "(?<=^a)b"]
PATTERNS += ["a(?i)b|c", "(?i)b|c", "x(a(?i)b|c)", "(?i)a|B(?-i)c|D", "(?i:a)b|c(?i)d|e", "(?i-m:a)", "(?im)a.", "(?-i)a", "(?i-i:a)", "(?m:a.(?-m:.))"]
PATTERNS += [f"(?i:{p})" for p in ["s", "k", "[s]", "[k]", "[^s]", "[a-z]", "[^a-z]", "ll", "'re", r"\p{L}", r"\p{Lu}", r"\p{Ll}", r"\s", r"\w", r"[^\s\p{L}\p{N}]", "[st]t",
                                   "s{2}", "s|t", "’s", "中", "[あ-ん]"]]
PATTERNS += [r"\t", r"\n", r"\r", r"\f", r"\v", r"\a", r"\e", r"\x41", r"\x{4e2d}", r"\u4e2d", r"\'", r"\`", r"\<", r"\_", r"\%", r"\中", r"\ ", "a#b", r"\\", r"\."]
TEXTS = ["a\nb\n\nc\n", "AB aB ab C c ac aC xaC xax bx bcx", "aaaaaaaab aab abc", "a{1,2} a{ a{x} a} a] a#b x", "xﬆx xßx xﬁx ss st ſt K k ’S", "ab²c½ ³x²  é²", "abcdexyz&-^[]:=.!/,'_%<`\\",
         "a1 ٣ б Δδ 中文 あ ア ー、。 \u0345 ι ﬁ ǅ ʰ ª", "\r\n\x0b\x0c\x85\u2028\u2029 \u00a0\u180e\u3000\u200b\x00\x07\x1b\x08", "ⅷ Ⅷ ⓐ Ⓐ ① + ∑ € ^ ¨ ⚡ 😀 ‿ – « » “ ” 「 」 ǆ Ǆ", "\u0301\u093e\u20dd\u0488 हि ไทย 한 שלום Ժ ა \ue000 \U0001f1eb",
         "éÉ AbC Café 12 x1Y"]


def cuts(pattern, text):
    pieces = [piece for piece, _ in pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)]
    ends = []
    for piece in pieces:
        ends.append((ends[-1] if ends else 0) + len(piece.encode()))
    return ends[:-1]


def main(folder):
    patterns = [[p, [cuts(p, t) for t in TEXTS]] for p in dict.fromkeys(PATTERNS)]
    with open(os.path.join(folder, "patterns.json"), "w") as file:
        json.dump({"texts": TEXTS, "patterns": patterns}, file, separators=(",", ":"))


main(sys.argv[1])
