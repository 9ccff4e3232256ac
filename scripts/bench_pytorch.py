#!/usr/bin/env python3
"""Training steps of a dense Sluice config's model in PyTorch, as its users would write it, for scripts/bench:
    bench_pytorch.py CONFIG.json [--compile] [--steps N]
CONFIG.json is what `sluice config CONFIG --json` prints. Prints one JSON object with the median of the steps' seconds. fp32,
scaled_dot_product_attention, fused AdamW, clip by norm; threads by OMP_NUM_THREADS."""
import argparse
import json
import os
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


def rope(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Attention(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.h, self.k, self.d, width = m["heads"], m["kv_heads"], m["head_dim"], m["hidden"]
        self.query = nn.Linear(width, self.h * self.d, bias=False)
        self.key = nn.Linear(width, self.k * self.d, bias=False)
        self.value = nn.Linear(width, self.k * self.d, bias=False)
        self.output = nn.Linear(self.h * self.d, width, bias=False)
        self.query_norm = nn.RMSNorm(self.d, m["norm_eps"]) if m["qk_norm"] else nn.Identity()
        self.key_norm = nn.RMSNorm(self.d, m["norm_eps"]) if m["qk_norm"] else nn.Identity()
        self.gate = nn.Linear(width, self.h * self.d, bias=False) if m["gates"] else None

    def forward(self, x, cos, sin):
        s, t, _ = x.shape
        q = rope(self.query_norm(self.query(x).view(s, t, self.h, self.d)).transpose(1, 2), cos, sin)
        k = rope(self.key_norm(self.key(x).view(s, t, self.k, self.d)).transpose(1, 2), cos, sin)
        v = self.value(x).view(s, t, self.k, self.d).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        y = y.transpose(1, 2).reshape(s, t, self.h * self.d)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(x))
        return self.output(y)


class Block(nn.Module):
    def __init__(self, m):
        super().__init__()
        width, inner = m["hidden"], m["ffn"]["hidden"]
        self.attention_norm, self.ffn_norm = nn.RMSNorm(width, m["norm_eps"]), nn.RMSNorm(width, m["norm_eps"])
        self.attention = Attention(m)
        self.up, self.gate, self.down = (nn.Linear(*s, bias=False) for s in ((width, inner), (width, inner), (inner, width)))

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attention_norm(x), cos, sin)
        h = self.ffn_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, m, length):
        super().__init__()
        self.embedding = nn.Embedding(m["vocab"], m["hidden"])
        self.blocks = nn.ModuleList(Block(m) for _ in range(m["layers"]))
        self.norm = nn.RMSNorm(m["hidden"], m["norm_eps"])
        self.head = nn.Linear(m["hidden"], m["vocab"], bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=m["init_std"])
        if m["tie_embeddings"]:
            self.head.weight = self.embedding.weight
        frequencies = m["rope"]["theta"] ** (-torch.arange(0, m["head_dim"], 2) / m["head_dim"])
        angles = torch.arange(length)[:, None] * frequencies
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()
    config = json.load(open(args.config))
    m, batch, length = config["model"], config["train"]["batch"], config["data"]["sequence_length"]
    gates = [{"position": "sdpa", "granularity": "elementwise", "activation": "sigmoid"}]
    if m["moe"]["experts"] or m["sandwich_norm"] or [{k: g[k] for k in gates[0]} for g in m["gates"]] not in ([], gates):
        parser.error("a dense model with an elementwise sdpa gate or none is what this measures")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    torch.manual_seed(1)
    model = Model(m, length)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    loss_of = torch.compile(model) if args.compile else model
    seconds = []
    for _ in range(args.steps + 2):  # two warm up
        tokens = torch.randint(m["vocab"], (batch, length + 1))
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of(tokens[:, :-1], tokens[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    step = statistics.median(seconds[2:])
    print(json.dumps({"step_seconds": step, "tokens_per_second": batch * length / step, "torch": torch.__version__}))


main()
