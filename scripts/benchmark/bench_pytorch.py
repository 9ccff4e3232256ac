#!/usr/bin/env python3
"""Training steps of a Sluice config's model in PyTorch, as its users would write it, for scripts/benchmark/bench:
    bench_pytorch.py CONFIG.json [--compile] [--steps N] [--device cuda]
CONFIG.json is what `sluice config CONFIG --json` prints. Prints one JSON object with the median of the steps' seconds. fp32, or
autocast to bf16 with train.precision bf16; scaled_dot_product_attention, experts over tokens sorted by pick, fused AdamW, clip by
norm; threads by OMP_NUM_THREADS; on a CPU unless --device says cuda."""
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
        # A score a channel, or a head.
        scores = self.d if m["gates"] and m["gates"][0]["granularity"] == "elementwise" else 1
        self.gate = nn.Linear(width, self.h * scores, bias=False) if m["gates"] else None

    def forward(self, x, cos, sin):
        s, t, _ = x.shape
        q = rope(self.query_norm(self.query(x).view(s, t, self.h, self.d)).transpose(1, 2), cos, sin)
        k = rope(self.key_norm(self.key(x).view(s, t, self.k, self.d)).transpose(1, 2), cos, sin)
        v = self.value(x).view(s, t, self.k, self.d).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        y = y.transpose(1, 2)
        if self.gate is not None:
            y = y * torch.sigmoid(self.gate(x)).view(s, t, self.h, -1)
        return self.output(y.reshape(s, t, self.h * self.d))


class SwiGlu(nn.Module):
    def __init__(self, m):
        super().__init__()
        width, inner = m["hidden"], m["ffn"]["hidden"]
        self.up, self.gate, self.down = (nn.Linear(*s, bias=False) for s in ((width, inner), (width, inner), (inner, width)))

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x)), 0


class Experts(nn.Module):
    def __init__(self, m):
        super().__init__()
        width, self.moe = m["hidden"], m["moe"]
        experts, inner = self.moe["experts"], self.moe["hidden"]
        self.router = nn.Linear(width, experts, bias=False)
        self.gate, self.up = (nn.Parameter(torch.empty(experts, inner, width)) for _ in range(2))
        self.down = nn.Parameter(torch.empty(experts, width, inner))

    def forward(self, sequences):
        x, experts, top_k = sequences.flatten(0, 1), self.moe["experts"], self.moe["top_k"]
        logits = self.router(x).float()
        probs = logits.softmax(-1)
        weights, picks = probs.topk(top_k)
        if self.moe["norm_top_k"]:
            weights = weights / weights.sum(-1, keepdim=True)
        order = picks.flatten().argsort(stable=True)
        counts = picks.flatten().bincount(minlength=experts)
        parts = x[order // top_k].split(counts.tolist())
        y = torch.cat([F.linear(F.silu(F.linear(part, self.gate[e])) * F.linear(part, self.up[e]), self.down[e])
                       for e, part in enumerate(parts)])
        out = torch.zeros_like(x).index_add(0, order // top_k, (y * weights.flatten()[order, None]).to(x.dtype))
        balance = experts * (counts / counts.sum() * probs.mean(0)).sum()
        z = logits.logsumexp(-1).square().mean()
        return out.view_as(sequences), self.moe["balance_coef"] * balance + self.moe["z_coef"] * z


class Block(nn.Module):
    def __init__(self, m):
        super().__init__()
        width = m["hidden"]
        self.attention_norm, self.ffn_norm = nn.RMSNorm(width, m["norm_eps"]), nn.RMSNorm(width, m["norm_eps"])
        self.attention = Attention(m)
        self.ffn = Experts(m) if m["moe"]["experts"] else SwiGlu(m)

    def forward(self, x, cos, sin):
        x = x + self.attention(self.attention_norm(x), cos, sin)
        y, auxiliary = self.ffn(self.ffn_norm(x))
        return x + y, auxiliary


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
        x, auxiliary = self.embedding(tokens), 0
        for block in self.blocks:
            x, more = block(x, self.cos, self.sin)
            auxiliary = auxiliary + more
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1).float(), targets.flatten()) + auxiliary


def unlike(config):
    """What of a config this script would not train as Sluice does, as dotted keys."""
    m, train = config["model"], config["train"]
    gate = {"position": "sdpa", "heads": "specific", "combine": "multiply",
            "activation": "sigmoid", "scale": 1, "input": "hidden", "input_width": 0, "rank": 0, "rank_activation": "none",
            "bias": False}
    expected = {
        "model.gates": [{k: g[k] for k in gate} for g in m["gates"]] in ([], [gate]) if isinstance(m["gates"], list) else False,
        "model.moe.shared_hidden": m["moe"]["shared_hidden"] == 0,
        "model.sandwich_norm": not m["sandwich_norm"],
        "model.residual_clip": m["residual_clip"] == 0,
        "model.switch_heads": m["switch_heads"]["target"] == "none",
        "model.rope.scaling": m["rope"]["scaling"] == "none",
        "model.attention": m["attention"] == {"kind": "softmax", "rela_gate": False, "window": 0, "sdpa_norm": "none", "sdpa_activation": "none"},
        "data.document_mask": not config["data"]["document_mask"],
        "train.micro_batch": train["micro_batch"] in (0, train["batch"]),
        "train.recompute": train["recompute"] == "none",
        "optimizer.kind": config["optimizer"]["kind"] == "adamw",
    }
    return [key for key, same in expected.items() if not same]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    args = parser.parse_args()
    config = json.load(open(args.config))
    m, batch, length = config["model"], config["train"]["batch"], config["data"]["sequence_length"]
    if keys := unlike(config):
        parser.error(f"{', '.join(keys)}: not what this trains (an elementwise or headwise sdpa gate or none, dense or routed, whole batches)")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    torch.manual_seed(1)
    model = Model(m, length).to(args.device)
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None   # until what was queued is done
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    loss_of = torch.compile(model) if args.compile else model
    seconds = []
    warm_up = 4 if m["moe"]["experts"] else 2  # sizes of experts differ from step to step: more is compiled
    for _ in range(args.steps + warm_up):
        tokens = torch.randint(m["vocab"], (batch, length + 1)).to(args.device)
        wait()
        start = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(args.device, torch.bfloat16, enabled=config["train"]["precision"] == "bf16"):
            loss = loss_of(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        wait()
        seconds.append(time.perf_counter() - start)
    step = statistics.median(seconds[warm_up:])
    print(json.dumps({"step_seconds": step, "tokens_per_second": batch * length / step, "torch": torch.__version__}))


main()
