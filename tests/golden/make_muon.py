#!/usr/bin/env python3
"""Ten steps of Muon beside AdamW: weights, losses and the optimizers' state in float64, for tests/optim.

    make_muon.py FOLDER

The model is make_golden.py's, differentiated by autograd; AdamW is PyTorch's, Muon is written here once more from its
formulas. It shares nothing with the C++ code that it judges. Needs what make_golden.py needs.
"""
import math, sys
from pathlib import Path

import torch
from make_golden import Weights, generator, load_config, loss_of, write_safetensors

STEPS, BATCH = 10, 2
LR, WARMUP, MOMENTUM, DECAY, CLIP, BETAS, EPS = 0.02, 3, 0.9, 0.1, 2.2, (0.8, 0.95), 1e-8
CONFIG = f"""
model: {{layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4, vocab: 17,
  switch_heads: {{target: v, experts: 3, top_k: 2}},
  gates: [{{position: sdpa}}, {{position: output, bias: true}}, {{position: query, heads: shared}},
          {{position: value, input: none}}],
  moe: {{experts: 4, top_k: 2, hidden: 6, shared_hidden: 11, balance: none, z_coef: 0.03}}}}
data: {{sequence_length: 9}}
train: {{batch: {BATCH}, steps: {STEPS}}}
optimizer: {{kind: muon, lr: {LR}, beta1: {BETAS[0]}, beta2: {BETAS[1]}, eps: {EPS}, weight_decay: {DECAY}, grad_clip: {CLIP},
  momentum: {MOMENTUM}}}
schedule: {{kind: constant, warmup_steps: {WARMUP}}}
"""


def decays(name, tensor):
    return tensor.dim() >= 2 and name != "embedding.weight" and not name.endswith(".constant")


def is_muons(name, tensor):
    return name.startswith("layers.") and decays(name, tensor) and not name.endswith("router.weight")


def orthogonal(u):
    """Five Newton-Schulz steps on one matrix."""
    x = u / (u.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def muon_step(w, b, lr):
    """One update of a tensor of matrices (..., rows, columns), of its momentum too, in place."""
    g = w.grad
    b.mul_(MOMENTUM).add_(g)
    u = g + MOMENTUM * b
    matrices = u.reshape(-1, *u.shape[-2:])
    x = torch.stack([orthogonal(matrix) for matrix in matrices]).reshape(u.shape)
    w.sub_(lr * (0.2 * math.sqrt(max(u.shape[-2:])) * x + DECAY * w))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    config = load_config(CONFIG)
    m = config.model
    tokens = torch.tensor(generator("muon", "tokens").randint(0, m.vocab, (STEPS * BATCH, 10)))
    w = Weights("muon", torch.float64)
    loss_of(config, w, tokens[:BATCH])  # draws the weights
    first = {name: value.detach().clone() for name, value in w.items()}
    momentum = {name: torch.zeros_like(value) for name, value in w.items() if is_muons(name, value)}
    others = {name: value for name, value in w.items() if name not in momentum}
    adamw = torch.optim.AdamW(
        [{"params": [v for k, v in others.items() if decays(k, v)], "weight_decay": DECAY},
         {"params": [v for k, v in others.items() if not decays(k, v)], "weight_decay": 0.0}],
        lr=LR, betas=BETAS, eps=EPS)
    losses, norms = [], []
    for step in range(STEPS):
        w.z.clear(), w.balance.clear(), w.margins.clear()
        for value in w.values():
            value.grad = None
        loss = loss_of(config, w, tokens[step * BATCH:(step + 1) * BATCH])
        (loss + m.moe.z_coef * sum(w.z)).backward()
        norm = torch.linalg.vector_norm(torch.stack([v.grad.norm() for v in w.values()]))
        losses.append(loss.detach())
        norms.append(norm)
        print(f"step {step + 1}: loss {loss.item():.4f}, norm {norm.item():.4f}, margin {min(w.margins).item():.1e}")
        lr = LR * min(1, (step + 1) / WARMUP)
        with torch.no_grad():
            for value in w.values():
                value.grad.mul_(min(1.0, CLIP / norm.item()))
            for name, b in momentum.items():
                muon_step(w[name], b, lr)
        for group in adamw.param_groups:
            group["lr"] = lr
        adamw.step()
    state = {f"muon.m/{name}": b for name, b in momentum.items()}
    for name, value in others.items():
        state[f"adam.m/{name}"] = adamw.state[value]["exp_avg"]
        state[f"adam.v/{name}"] = adamw.state[value]["exp_avg_sq"]
    last = {f"last/{name}": value for name, value in {**w, **state}.items()}
    results = {"losses": torch.stack(losses), "norms": torch.stack(norms), "tokens": tokens}
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    write_safetensors(Path(sys.argv[1]) / "muon.safetensors", {**first, **last, **results}, {"config": CONFIG})


if __name__ == "__main__":
    main()
