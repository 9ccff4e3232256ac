#!/usr/bin/env python3
"""Golden models: weights, tokens, loss and gradients of small models in float64, for tests/golden.

    make_golden.py FOLDER [NAME ...]

The model is written here once more, from its formulas, and differentiated by autograd: it shares nothing with the C++
code that is tested against it. NAME: only these models. Needs numpy, PyYAML and PyTorch, as nothing else in this project.
"""
import json, math, struct, sys, zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
import yaml
from torch import tanh
from torch.nn.functional import cross_entropy, relu, sigmoid, silu, softplus

from golden_configs import all_configs

# ------------------------------------------------------------------------------------------------ configs
DEFAULTS = yaml.safe_load("""
model: {tie_embeddings: false, qk_norm: true, norm_eps: 0.000001, gates: [], sandwich_norm: false, residual_clip: 0,
        rope: {theta: 10000, scaling: none}, switch_heads: {target: none}, ffn: {},
        moe: {experts: 0, shared_hidden: 0, norm_top_k: true, balance: global_batch, balance_coef: 0.01, z_coef: 0.001}}
data: {document_mask: false}
train: {}""")
ATTENTION = yaml.safe_load("{kind: softmax, rela_gate: false, window: 0, sdpa_norm: none, sdpa_activation: none}")
GATE = yaml.safe_load("{position: sdpa, granularity: elementwise, heads: specific, combine: multiply, "
                      "activation: sigmoid, scale: 1, input: hidden, input_width: 0, rank: 0, rank_activation: none, "
                      "bias: false}")


def settle(given, defaults):
    """Nested maps as namespaces; what is not given stands in `defaults`."""
    nested = {key: settle(given.get(key, {}), below) for key, below in defaults.items() if isinstance(below, dict)}
    return SimpleNamespace(**{**defaults, **given, **nested})


def load_config(text):
    config = settle(yaml.safe_load(text), DEFAULTS)
    m = config.model
    m.kv_heads = getattr(m, "kv_heads", m.heads)
    m.head_dim = getattr(m, "head_dim", m.hidden // m.heads)
    m.attention = getattr(m, "attention", {})
    return config


def of_layer(values, layer, absent):
    """The value of a layer: the same of every layer, or from a map of inclusive ranges."""
    if not isinstance(values, dict) or not all(str(key)[0].isdigit() for key in values):
        return values
    ends = {key: [int(end) for end in str(key).split("-")] for key in values}
    return next((values[key] for key, end in ends.items() if end[0] <= layer <= end[-1]), absent)


def gates_of(m, layer):
    return [settle(gate, GATE) for gate in of_layer(m.gates, layer, [])]


def attention_of(m, layer):
    return settle(of_layer(m.attention, layer, {}), ATTENTION)


def has_rela(m):
    return any(attention_of(m, layer).kind == "rela" for layer in range(m.layers))


# ------------------------------------------------------------------------------------------------ the model
def generator(*key):
    return np.random.RandomState(zlib.crc32("/".join(map(str, key)).encode()))


class Weights(dict):
    """Leaves by name, drawn when first asked for; rounded to float, so that a float model has the same values. moved: by
    half a float's rounding, at random."""

    def __init__(self, seed, dtype, moved=None):
        self.seed, self.dtype, self.moved = seed, dtype, moved
        self.margins = []  # distances from where the model is not smooth: a clip, a top-k pick, a ReLU
        self.balance, self.z = [], []  # of each router

    def __call__(self, name, *shape, mean=0.0, std=0.4):
        if name not in self:
            values = (mean + std * generator(self.seed, name).standard_normal(shape)).astype(np.float32)
            if self.moved:
                values = values * (1 + 2**-25 * generator(self.seed, name, self.moved).standard_normal(shape))
            self[name] = torch.tensor(values, dtype=self.dtype, requires_grad=True)
        return self[name]


def linear(w, name, x, rows):
    return x @ w(name + ".weight", rows, x.shape[-1]).T


def rms_norm(m, w, name, x):
    weight = w(name + ".weight", x.shape[-1], mean=1.0, std=0.2)
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + m.norm_eps) * weight


ACTIVATIONS = {"sigmoid": sigmoid, "silu": silu, "ns_sigmoid": lambda s: (1 + sigmoid(s)) / 2, "identity": lambda s: s,
               "softplus": softplus, "tanh": tanh}


def apply_gate(g, w, name, y, x):
    """y (batch, time, heads, channels), one head at the output, gated by scores of x (batch, time, hidden)."""
    per_head = g.heads != "shared" and g.position != "output"
    per_channel = g.granularity == "elementwise"
    heads, channels = y.shape[2] if per_head else 1, y.shape[3] if per_channel else 1
    if g.input == "none":
        shape = [heads] * per_head + [channels] * per_channel or [1]
        score = w(name + ".constant", *shape, std=0.7).reshape(heads, channels)
    else:
        score = x[..., :g.input_width] if g.input_width else x
        if g.rank:
            score = linear(w, name + ".down", score, g.rank)
            score = silu(score) if g.rank_activation == "silu" else score
        score = linear(w, name + ".up" * (g.rank > 0), score, heads * channels)
        if g.bias:
            score = score + w(name + ".bias", heads * channels)
        score = score.unflatten(-1, (heads, channels))
    if g.heads == "averaged":
        score = score.mean(2, keepdim=True)
    factor = g.scale * ACTIVATIONS[g.activation](score)
    return y * factor if g.combine == "multiply" else y + factor


def switch(m, w, name, x):
    """Each kv head's sum over its top-k experts of sigmoid(router score) x expert(x): (batch, time, kv_heads, dim)."""
    experts, top_k, hidden = m.switch_heads.experts, m.switch_heads.top_k, x.shape[-1]
    maps = w(name + ".experts.weight", m.kv_heads, experts, m.head_dim, hidden)
    router = w(name + ".router.weight", m.kv_heads, experts, hidden)
    logits = torch.einsum("bth,keh->btke", x, router)
    order = logits.sort(-1, descending=True)
    if top_k < experts:
        w.margins.append((order.values[..., top_k - 1] - order.values[..., top_k]).min())
    picked = torch.zeros_like(logits).scatter(-1, order.indices[..., :top_k], 1.0)
    return torch.einsum("btke,kedh,bth->btkd", picked * sigmoid(logits), maps, x)


def rotation(m, length, dtype):
    """cos and sin (length, 1, head_dim / 2), in float64 whatever the model's type."""
    rope, dim, scale = m.rope, m.head_dim, 1.0
    pair = torch.arange(dim // 2, dtype=torch.float64)
    frequency = rope.theta ** (-2 * pair / dim)
    if rope.scaling == "linear":
        frequency = frequency / rope.factor
    if rope.scaling == "yarn":
        def pair_of(turns):  # the pair that turns so often within the original length
            return dim * math.log(rope.original_length / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))
        low, high = max(math.floor(pair_of(32)), 0), min(math.ceil(pair_of(1)), dim - 1)
        slow = ((pair - low) / (high - low if high != low else 0.001)).clamp(0, 1)
        frequency = frequency * (1 - slow) + frequency / rope.factor * slow
        scale = 0.1 * math.log(rope.factor) + 1
    angle = (torch.arange(length, dtype=torch.float64)[:, None] * frequency)[:, None]
    return (angle.cos() * scale).to(dtype), (angle.sin() * scale).to(dtype)


def rotate(x, cos, sin):
    x1, x2 = x.chunk(2, -1)
    return torch.cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin], -1)


def visible(config, tokens, window):
    """(batch, 1, time, time): may the row's token see the column's?"""
    length = tokens.shape[1]
    back = torch.arange(length)[:, None] - torch.arange(length)
    mask = ((back >= 0) & (back < (window or length)))[None, None]
    if not config.data.document_mask:
        return mask
    document = (tokens == config.data.delimiter).cumsum(1)
    return mask & (document[:, None, :, None] == document[:, None, None, :])


def rela(m, spec, w, name, scores, v, mask):
    """ReLU scores times values, normed over all heads of a token."""
    w.margins.append(scores[mask.expand_as(scores)].abs().min())
    z = torch.einsum("bhij,bjhd->bihd", relu(scores) * mask, v).flatten(2)
    y = rms_norm(m, w, name + ".rela_norm", z)
    if spec.rela_gate:
        y = y * sigmoid(w(name + ".rela_gate.weight", z.shape[-1], std=0.7) * z)
    return y.unflatten(-1, (m.heads, m.head_dim))


def attention(m, w, name, layer, x, mask):
    spec = attention_of(m, layer)

    def gated(position, y):
        for j, g in enumerate(gates_of(m, layer)):
            if g.position == position:
                y = apply_gate(g, w, f"{name}.gates.{j}", y, x)
        return y

    def project(which, heads):
        if which in {"none": [], "v": ["value"], "kv": ["value", "key"]}[m.switch_heads.target]:
            return switch(m, w, f"{name}.{which}", x)
        return linear(w, f"{name}.{which}", x, heads * m.head_dim).unflatten(-1, (heads, m.head_dim))

    q = gated("query", project("query", m.heads))
    k = gated("key", project("key", m.kv_heads))
    v = gated("value", project("value", m.kv_heads))
    if m.qk_norm:
        q, k = rms_norm(m, w, name + ".query_norm", q), rms_norm(m, w, name + ".key_norm", k)
    cos, sin = rotation(m, x.shape[1], x.dtype)
    q, k = rotate(q, cos, sin), rotate(k, cos, sin)
    k, v = (y.repeat_interleave(m.heads // m.kv_heads, 2) for y in (k, v))
    scores = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(m.head_dim)
    if spec.kind == "rela":
        y = rela(m, spec, w, name, scores, v, mask)
    else:
        y = torch.einsum("bhij,bjhd->bihd", scores.masked_fill(~mask, -math.inf).softmax(-1), v)
    if spec.sdpa_norm == "rmsnorm":
        y = rms_norm(m, w, name + ".sdpa_norm", y)
    if spec.sdpa_activation == "silu":
        y = silu(y)
    y = linear(w, name + ".output", gated("sdpa", y).flatten(2), m.hidden)
    return gated("output", y.unsqueeze(2)).squeeze(2)


def ffn(m, w, name, x, width):
    gate, up = linear(w, name + ".gate", x, width), linear(w, name + ".up", x, width)
    return linear(w, name + ".down", silu(gate) * up, m.hidden)


def experts(m, w, name, x):
    """Every expert on every token, weighted by zero where it was not picked."""
    n, logits = m.moe, linear(w, name + ".router", x, m.moe.experts)
    p = logits.softmax(-1)
    choice = p + w(name + ".router.bias", n.experts, std=0.15) if n.balance == "bias" else p
    order = choice.detach().sort(-1, descending=True)
    if n.top_k < n.experts:
        w.margins.append((order.values[..., n.top_k - 1] - order.values[..., n.top_k]).min())
    picked = torch.zeros_like(p).scatter(-1, order.indices[..., :n.top_k], 1.0)
    if n.balance in ("global_batch", "micro_batch"):
        share = picked.mean((0, 1)) / n.top_k
        w.balance.append(n.experts * (share * p.mean((0, 1))).sum())
    w.z.append(logits.logsumexp(-1).square().mean())
    weight = p * picked
    if n.norm_top_k:
        weight = weight / weight.sum(-1, keepdim=True)
    gate, up, down = (w(f"{name}.experts.{which}.weight", n.experts, *shape) for which, shape in
                      (("gate", (n.hidden, m.hidden)), ("up", (n.hidden, m.hidden)), ("down", (m.hidden, n.hidden))))
    inner = silu(torch.einsum("bth,efh->btef", x, gate)) * torch.einsum("bth,efh->btef", x, up)
    y = torch.einsum("bte,btef,ehf->bth", weight, inner, down)
    return y + ffn(m, w, name + ".shared", x, n.shared_hidden) if n.shared_hidden else y


def join(m, w, name, x, y):
    if m.sandwich_norm:
        y = rms_norm(m, w, name + "_post_norm", y)
    if m.residual_clip:
        w.margins.append((y.abs() - m.residual_clip).abs().min())
        y = torch.where(y.abs() < m.residual_clip, y, y.detach().clamp(-m.residual_clip, m.residual_clip))
    return x + y


def loss_of(config, w, tokens):
    """Mean cross-entropy of tokens (batch, time + 1) predicted from those before them."""
    m, inputs, targets = config.model, tokens[:, :-1], tokens[:, 1:]
    embedding = w("embedding.weight", m.vocab, m.hidden)
    head = embedding if m.tie_embeddings else w("head.weight", m.vocab, m.hidden)
    x = embedding[inputs]
    for layer in range(m.layers):
        name, mask = f"layers.{layer}.attention", visible(config, inputs, attention_of(m, layer).window)
        x = join(m, w, name, x, attention(m, w, name, layer, rms_norm(m, w, name + "_norm", x), mask))
        name = f"layers.{layer}.ffn"
        y = rms_norm(m, w, name + "_norm", x)
        y = experts(m, w, f"layers.{layer}.moe", y) if m.moe.experts else ffn(m, w, name, y, m.ffn.hidden)
        x = join(m, w, name, x, y)
    return cross_entropy((rms_norm(m, w, "final_norm", x) @ head.T).flatten(0, 1), targets.flatten())


# ------------------------------------------------------------------------------------------------ the files
def draw_tokens(seed, config):
    """Random ids; with documents, delimiters in mid-sequence, side by side, at the very end and at the start."""
    batch, length, delimiter = config.train.batch, config.data.sequence_length, getattr(config.data, "delimiter", None)
    tokens = generator(seed, "tokens").randint(0, config.model.vocab, (batch, length + 1))
    if config.data.document_mask:
        tokens[tokens == delimiter] = 1
        tokens[0, [length // 3, length // 3 + 1, length // 2, length - 1]] = delimiter
        tokens[1:, 0] = delimiter
    return torch.tensor(tokens)


def run(seed, config, tokens, dtype, moved=None):
    w = Weights(seed, dtype, moved)
    loss, n = loss_of(config, w, tokens), config.model.moe
    (loss + n.balance_coef * sum(w.balance) + n.z_coef * sum(w.z)).backward()
    results = {"loss": loss}
    if w.balance:
        results["balance"] = torch.stack(w.balance).mean()
    if w.z:
        results["z"] = torch.stack(w.z).mean()
    gradients = {name: value.grad for name, value in w.items() if not name.endswith("moe.router.bias")}
    return w, {name: value.detach().reshape(1) for name, value in results.items()}, gradients


def conditioning(config, w, gradients, other):
    """The largest relative difference of a gradient to `other`; infinite where one is tiny or depends on a clip or pick."""
    flat = ()  # a softmax over one token
    for layer in range(config.model.layers):
        spec = attention_of(config.model, layer)
        if spec.kind == "softmax" and 1 in (spec.window, config.data.sequence_length):
            flat += tuple(f"layers.{layer}.attention.{which}" for which in ("query", "key"))
    if any(margin < 1e-4 for margin in w.margins):
        return math.inf
    flat += ("moe.router",) * (config.model.moe.experts == 1)  # no choice
    return max(math.inf if g.norm() < 2e-3 else ((other[name] - g).norm() / g.norm()).item()
               for name, g in gradients.items() if not any(word in name for word in flat))


def make(name, config):
    """The first seed whose model is a fair test in float too: a float's tolerance is 5e-6."""
    for seed in (f"{name}/{i}" for i in range(1000)):
        tokens = draw_tokens(seed, config)
        w, results, gradients = run(seed, config, tokens, torch.float64)
        worst = conditioning(config, w, gradients, run(seed, config, tokens, torch.float32)[2])
        # A row of small scores of ReLA is divided by little, many gates multiply: one run in float may be lucky.
        if has_rela(config.model) or name.startswith("gate"):
            for moved in range(1, 5 * (worst < 1.5e-6)):
                worst = max(worst, conditioning(config, w, gradients, run(seed, config, tokens, torch.float64, moved)[2]))
        if worst < 1.5e-6:
            print(f"{seed:22} loss {results['loss'].item():.4f}, gradients in float within {worst:.1e}")
            return {**w, **{f"grad/{k}": g for k, g in gradients.items()}, **results, "tokens": tokens}
    sys.exit(f"{name}: no seed gives gradients that float can hold")


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor.detach().numpy())
        header[name] = {"dtype": {"float64": "F64", "int64": "I64"}[array.dtype.name], "shape": array.shape,
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, separators=(",", ":"))
    text += " " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    folder, wanted = Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, batch, data, model in all_configs():
        if wanted and name not in wanted:
            continue
        text = f"model: {{{model}}}\ndata: {{{data}}}\ntrain: {{batch: {batch}}}\n"
        write_safetensors(folder / f"{name}.safetensors", make(name, load_config(text)), {"config": text})


if __name__ == "__main__":
    main()
