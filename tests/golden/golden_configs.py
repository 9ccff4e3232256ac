"""The configs of make_golden.py: (name, sequences, data, model) of each golden model."""
import itertools

import numpy as np

CONFIGS = [  # name, sequences, data, model
    ("plain", 1, "sequence_length: 70", """
  layers: 2, hidden: 10, heads: 2, head_dim: 6, vocab: 37, qk_norm: false, tie_embeddings: true, ffn: {hidden: 14}"""),
    ("window_documents", 2, "sequence_length: 70, document_mask: true, delimiter: 3", """
  layers: 2, hidden: 9, heads: 3, kv_heads: 1, head_dim: 6, vocab: 37, norm_eps: 0.01, ffn: {hidden: 14},
  rope: {theta: 500, scaling: linear, factor: 4}, attention: {window: 9}, gates: [{init_std: 0.1}]"""),
    ("yarn", 2, "sequence_length: 70", """
  layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 8, vocab: 23, tie_embeddings: true, ffn: {hidden: 9},
  rope: {theta: 100, scaling: yarn, factor: 4, original_length: 64},
  gates: [{position: query, bias: true}, {position: key, granularity: headwise, activation: identity},
          {position: key, granularity: headwise, heads: averaged, combine: add, activation: ns_sigmoid}]"""),
    ("yarn_sandwich_clip", 3, "sequence_length: 17", """
  layers: 2, hidden: 11, heads: 2, kv_heads: 1, head_dim: 10, vocab: 19, norm_eps: 0.02, ffn: {hidden: 13},
  rope: {theta: 100, scaling: yarn, factor: 16, original_length: 3200}, attention: {sdpa_norm: rmsnorm},
  gates: [{position: sdpa, granularity: headwise}, {position: output, activation: silu, combine: add}],
  sandwich_norm: true, residual_clip: 1.1"""),
    ("window_one", 3, "sequence_length: 5", """
  layers: 2, hidden: 9, heads: 3, head_dim: 2, vocab: 17, ffn: {hidden: 7}, norm_eps: 0.01,
  attention: {window: 1, sdpa_norm: rmsnorm, sdpa_activation: silu}, gates: [{position: output, bias: true}]"""),
    ("length_one", 3, "sequence_length: 1", """
  layers: 3, hidden: 8, heads: 2, kv_heads: 1, vocab: 13, ffn: {hidden: 5}, residual_clip: 0.6,
  rope: {scaling: yarn, factor: 2, original_length: 4}, attention: {sdpa_activation: silu},
  gates: [{position: value, input: none, activation: ns_sigmoid}, {position: value, heads: shared}]"""),
    ("switch_v", 2, "sequence_length: 67, document_mask: true, delimiter: 0", """
  layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4, vocab: 19, qk_norm: false, ffn: {hidden: 9},
  switch_heads: {target: v, experts: 4, top_k: 2}, residual_clip: 0.5,
  gates: [{position: value, granularity: headwise, activation: silu}]"""),
    ("switch_kv", 2, "sequence_length: 13", """
  layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 6, vocab: 19, tie_embeddings: true, ffn: {hidden: 9},
  switch_heads: {target: kv, experts: 3, top_k: 2}, rope: {scaling: linear, factor: 2.5},
  gates: [{position: key, activation: silu}]"""),
    ("switch_one", 1, "sequence_length: 66", """
  layers: 2, hidden: 8, heads: 3, head_dim: 4, vocab: 19, ffn: {hidden: 9}, sandwich_norm: true,
  switch_heads: {target: v, experts: 1, top_k: 1}"""),
    ("layer_ranges", 2, "sequence_length: 12, document_mask: true, delimiter: 12", """
  layers: 5, hidden: 7, heads: 2, head_dim: 4, vocab: 13, ffn: {hidden: 6}, norm_eps: 0.01,
  attention: {window: 4, sdpa_norm: rmsnorm},
  gates: {0-1: [{granularity: headwise}, {position: value, combine: add, activation: identity}, {heads: averaged}],
          3: [{position: query, input: none, combine: add, activation: identity}],
          4: [{position: output, input: none}, {position: sdpa, input: none, activation: silu}]}"""),
    ("moe_global", 2, "sequence_length: 11", """
  layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4, vocab: 17, sandwich_norm: true, gates: [{}],
  moe: {experts: 4, top_k: 2, hidden: 6, shared_hidden: 5, balance: global_batch, balance_coef: 0.2, z_coef: 0.03}"""),
    ("moe_micro", 3, "sequence_length: 7", """
  layers: 2, hidden: 9, heads: 3, head_dim: 4, vocab: 13, tie_embeddings: true, residual_clip: 0.9,
  moe: {experts: 3, top_k: 1, hidden: 5, norm_top_k: false, balance: micro_batch, balance_coef: 0.5, z_coef: 0.3}"""),
    ("moe_bias", 2, "sequence_length: 13", """
  layers: 3, hidden: 8, heads: 2, kv_heads: 1, head_dim: 6, vocab: 19, gates: [{position: value, granularity: headwise}],
  moe: {experts: 5, top_k: 3, hidden: 4, balance: bias, z_coef: 0.1}"""),
    ("moe_none", 1, "sequence_length: 9", """
  layers: 2, hidden: 7, heads: 2, head_dim: 4, vocab: 11, qk_norm: false,
  moe: {experts: 1, top_k: 1, hidden: 6, shared_hidden: 3, balance: none, z_coef: 0}"""),
    ("local_global", 2, "sequence_length: 67, document_mask: true, delimiter: 7", """
  layers: 4, hidden: 8, heads: 2, kv_heads: 1, head_dim: 4, vocab: 19, norm_eps: 0.01, ffn: {hidden: 7},
  attention: {0-1: {window: 5, sdpa_norm: rmsnorm}, 3: {window: 66, sdpa_activation: silu}}, gates: {1-3: [{}]}"""),
    ("rela", 2, "sequence_length: 70, document_mask: true, delimiter: 3", """
  layers: 2, hidden: 9, heads: 3, kv_heads: 1, head_dim: 6, vocab: 37, norm_eps: 0.01, ffn: {hidden: 14},
  rope: {theta: 500}, attention: {kind: rela, window: 9},
  gates: [{position: query}, {position: key, combine: add, activation: silu}, {position: value, granularity: headwise},
          {position: sdpa}, {position: output, activation: ns_sigmoid}]"""),
    ("rela_gate", 1, "sequence_length: 66", """
  layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4, vocab: 23, norm_eps: 0.05, qk_norm: false, ffn: {hidden: 9},
  attention: {kind: rela, rela_gate: true, sdpa_norm: rmsnorm, sdpa_activation: silu},
  gates: [{heads: averaged, activation: silu}]"""),
    ("rela_window_one", 3, "sequence_length: 5", """
  layers: 2, hidden: 9, heads: 3, head_dim: 2, vocab: 17, norm_eps: 0.1, ffn: {hidden: 7},
  attention: {kind: rela, window: 1}, gates: [{position: value, bias: true}]"""),
    ("hybrid", 2, "sequence_length: 15, document_mask: true, delimiter: 5", """
  layers: 4, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4, vocab: 31, norm_eps: 0.1, qk_norm: false, ffn: {hidden: 9},
  attention: {0: {window: 4}, 2: {kind: rela, window: 5, sdpa_norm: rmsnorm}, 3: {kind: rela, rela_gate: true}},
  gates: {1: [{}], 2: [{position: value, granularity: headwise}], 3: [{}]},
  switch_heads: {target: v, experts: 3, top_k: 2}"""),
    ("hybrid_moe", 2, "sequence_length: 13", """
  layers: 2, hidden: 8, heads: 4, kv_heads: 2, head_dim: 4, vocab: 17, norm_eps: 0.1,
  attention: {0: {kind: rela, rela_gate: true}, 1: {window: 3, sdpa_activation: silu}},
  moe: {experts: 4, top_k: 2, hidden: 6, shared_hidden: 5, balance: global_batch, balance_coef: 0.2, z_coef: 0.03}"""),
]

CHOICES = {
    "position": ["query", "key", "value", "sdpa", "output"],
    "granularity": ["elementwise", "headwise"],
    "heads": ["specific", "shared", "averaged"],
    "combine": ["multiply", "add"],
    "activation": ["sigmoid", "silu", "ns_sigmoid", "identity", "softplus", "tanh"],
    "scale": ["1", "1.5"],
}
SCORES = ["input: hidden", "bias: true", "input: none"]
MAPS = ["input_width: 4", "rank: 2", "input_width: 5, rank: 3, rank_activation: silu"]


def covering_gates(scores, n):
    """Gates in which any n choices of different kinds meet: greedily, each the one with the most new ones."""
    choices = {**CHOICES, "score": scores}
    def meetings(gate):
        return set(itertools.combinations(enumerate(gate), n))
    candidates = [g for g in itertools.product(*choices.values())
                  if (g[1:3] == ("elementwise", "specific") if g[0] == "output" else
                      (g[2], g[-1]) != ("averaged", "input: none"))]
    np.random.RandomState(1).shuffle(candidates)
    missing = set().union(*map(meetings, candidates))
    while missing:
        gate = max(candidates, key=lambda g: len(meetings(g) & missing))
        missing -= meetings(gate)
        yield "{" + ", ".join([f"{kind}: {word}" for kind, word in zip(choices, gate[:-1])] + [gate[-1]]) + "}"


def gate_configs(prefix, gates, shapes):
    """The covering gates, dealt to the layers of models without QK-norm, which would forbid some of them."""
    for i, (heads, kv_heads, head_dim, length) in enumerate(shapes):
        layers = ",\n    ".join(f"{l}: [{f',{chr(10)}      '.join(gates[3 * i + l::3 * len(shapes)])}]" for l in range(3))
        yield f"{prefix}_{i}", 2, f"sequence_length: {length}", f"""
  layers: 3, hidden: 6, heads: {heads}, kv_heads: {kv_heads}, head_dim: {head_dim}, vocab: 11, qk_norm: false,
  ffn: {{hidden: 5}}, gates: {{
    {layers}}}"""


def all_configs():
    yield from CONFIGS
    shapes = [(4, 2, 4, 7), (3, 1, 6, 9), (2, 2, 4, 6), (6, 3, 2, 8), (4, 1, 4, 5), (2, 1, 6, 7)]
    yield from gate_configs("gates", list(covering_gates(SCORES, 3)), shapes)
    yield from gate_configs("gate_maps", list(covering_gates(MAPS, 2)), shapes[:3])
