#!/usr/bin/env python3
"""Makes tests/golden/*.safetensors: loss and every gradient, in float64, of small models in PyTorch.

usage: make_golden.py OUTPUT_FOLDER        needs torch, numpy and pyyaml; nothing else in the project needs Python
An implementation of its own, from the equations of arXiv 2505.06708 and DESIGN.md, with autograd: it shares no code with Sluice."""
import json, math, pathlib, struct, sys

import numpy as np
import torch
import torch.nn.functional as F
import yaml

torch.set_default_dtype(torch.float64)
ACTIVATIONS = {'sigmoid': torch.sigmoid, 'silu': F.silu, 'identity': lambda x: x,
               'ns_sigmoid': lambda x: 0.5 + 0.5 * torch.sigmoid(x)}


def rms_norm(x, weight, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def rope_table(rope, dim, length):
    theta, factor, scaling = rope.get('theta', 10000.0), rope.get('factor', 1.0), rope.get('scaling', 'none')
    inverse = theta ** (-torch.arange(0, dim, 2) / dim)
    scale = 1.0
    if scaling == 'linear':
        inverse = inverse / factor
    if scaling == 'yarn':
        turns = lambda beta: dim * math.log(rope['original_length'] / (beta * 2 * math.pi)) / (2 * math.log(theta))
        low, high = max(math.floor(turns(32)), 0), min(math.ceil(turns(1)), dim - 1)
        ramp = ((torch.arange(dim // 2) - low) / (high - low if high != low else 0.001)).clamp(0, 1)
        inverse = inverse / factor * ramp + inverse * (1 - ramp)
        scale = 0.1 * math.log(factor) + 1
    angle = torch.arange(length)[:, None] * inverse
    return scale * angle.cos(), scale * angle.sin()


def rotate(x, cos, sin):  # (batch, length, heads, dim)
    a, b = x.chunk(2, -1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def visible(tokens, window, delimiter):
    """(batch, length, length): whether a query (row) sees a key (column)."""
    length = tokens.shape[1]
    t = torch.arange(length)
    see = (t[None, :] <= t[:, None]) & ((t[:, None] - t[None, :] < window) if window else True)
    document = (tokens == delimiter).cumsum(1) if delimiter is not None else torch.zeros_like(tokens)
    return see & (document[:, :, None] == document[:, None, :])


class Model:
    def __init__(self, config, seed):
        self.c, self.m = config, config['model']
        self.weights, self.random = {}, np.random.default_rng(seed)
        m = self.m
        m.setdefault('kv_heads', m['heads'])
        m.setdefault('head_dim', m['hidden'] // m['heads'])

    def weight(self, name, *shape, mean=0.0, std=0.25):
        if name not in self.weights:
            value = mean + std * self.random.standard_normal(shape)
            self.weights[name] = torch.tensor(value, requires_grad=True)
        return self.weights[name]

    def norm(self, x, name):
        return rms_norm(x, self.weight(name, x.shape[-1], mean=1.0, std=0.2), self.m.get('norm_eps', 1e-6))

    def gates_of(self, layer):
        gates = self.m.get('gates', [])
        if isinstance(gates, list):
            return gates
        for key, value in gates.items():
            first, _, last = str(key).partition('-')
            if int(first) <= layer <= int(last or first):
                return value
        return []

    def gate(self, position, y, x, layer):  # y (batch, length, heads, channels)
        heads, channels = y.shape[2:]
        for j, g in enumerate(self.gates_of(layer)):
            if g.get('position', 'sdpa') != position:
                continue
            name = f'layers.{layer}.attention.gates.{j}.'
            sharing = g.get('heads', 'specific')
            h = 1 if sharing == 'shared' else heads
            k = 1 if g.get('granularity', 'elementwise') == 'headwise' else channels
            if g.get('input', 'hidden') == 'none':
                shape = [n for n, keep in ((h, sharing == 'specific' and position != 'output'), (k, k > 1)) if keep]
                score = self.weight(name + 'constant', *(shape or [1])).reshape(h, k)
            else:
                score = x @ self.weight(name + 'weight', h * k, x.shape[-1]).T
                if g.get('bias'):
                    score = score + self.weight(name + 'bias', h * k)
                score = score.reshape(*x.shape[:2], h, k)
            if sharing == 'averaged':
                score = score.mean(2, keepdim=True)
            score = ACTIVATIONS[g.get('activation', 'sigmoid')](score)
            y = y * score if g.get('combine', 'multiply') == 'multiply' else y + score
        return y

    def heads(self, x, name, count, switch):
        batch, length, hidden = x.shape
        dim = self.m['head_dim']
        if not switch:
            return (x @ self.weight(name + '.weight', count * dim, hidden).T).reshape(batch, length, count, dim)
        experts, top_k = self.m['switch_heads']['experts'], self.m['switch_heads']['top_k']
        maps = self.weight(name + '.experts.weight', count, experts, dim, hidden)
        score = torch.einsum('btd,ked->btke', x, self.weight(name + '.router.weight', count, experts, hidden))
        picked = torch.zeros_like(score).scatter(-1, score.topk(top_k, -1).indices, 1.0)
        return torch.einsum('btke,kend,btd->btkn', picked * torch.sigmoid(score), maps, x)

    def attention(self, x, tokens, layer):
        m, name = self.m, f'layers.{layer}.attention.'
        spec, switch = m.get('attention', {}), m.get('switch_heads', {}).get('target', 'none')
        batch, length, hidden = x.shape
        H, K, D = m['heads'], m['kv_heads'], m['head_dim']
        q = self.gate('query', self.heads(x, name + 'query', H, False), x, layer)
        k = self.gate('key', self.heads(x, name + 'key', K, switch == 'kv'), x, layer)
        v = self.gate('value', self.heads(x, name + 'value', K, switch in ('v', 'kv')), x, layer)
        if m.get('qk_norm', True):
            q, k = self.norm(q, name + 'query_norm.weight'), self.norm(k, name + 'key_norm.weight')
        cos, sin = rope_table(m.get('rope', {}), D, length)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = k.repeat_interleave(H // K, 2), v.repeat_interleave(H // K, 2)
        score = torch.einsum('bthd,bshd->bhts', q, k) / math.sqrt(D)
        data = self.c['data']
        see = visible(tokens, spec.get('window', 0), data['delimiter'] if data.get('document_mask') else None)
        score = score.masked_fill(~see[:, None], -math.inf)
        y = torch.einsum('bhts,bshd->bthd', score.softmax(-1), v)
        if spec.get('sdpa_norm') == 'rmsnorm':
            y = self.norm(y, name + 'sdpa_norm.weight')
        if spec.get('sdpa_activation') == 'silu':
            y = F.silu(y)
        y = self.gate('sdpa', y, x, layer)
        y = y.reshape(batch, length, H * D) @ self.weight(name + 'output.weight', hidden, H * D).T
        return self.gate('output', y[:, :, None], x, layer)[:, :, 0]

    def ffn(self, x, layer):
        name, width, hidden = f'layers.{layer}.ffn.', self.m['ffn']['hidden'], x.shape[-1]
        gate, up = (x @ self.weight(name + n + '.weight', width, hidden).T for n in ('gate', 'up'))
        return (F.silu(gate) * up) @ self.weight(name + 'down.weight', hidden, width).T

    def join(self, x, y, name):
        if self.m.get('sandwich_norm'):
            y = self.norm(y, name + '_post_norm.weight')
        clip = self.m.get('residual_clip', 0)
        return x + (y.clamp(-clip, clip) if clip else y)

    def loss(self, tokens):
        m, inputs, targets = self.m, tokens[:, :-1], tokens[:, 1:]
        embedding = self.weight('embedding.weight', m['vocab'], m['hidden'], std=0.7)
        x = embedding[inputs]
        for layer in range(m['layers']):
            name = f'layers.{layer}.'
            y = self.attention(self.norm(x, name + 'attention_norm.weight'), inputs, layer)
            x = self.join(x, y, name + 'attention')
            x = self.join(x, self.ffn(self.norm(x, name + 'ffn_norm.weight'), layer), name + 'ffn')
        x = self.norm(x, 'final_norm.weight')
        head = embedding if m.get('tie_embeddings') else self.weight('head.weight', m['vocab'], m['hidden'])
        return F.cross_entropy((x @ head.T).flatten(0, 1), targets.flatten())


def small(model, data=None, batch=2, length=9):
    base = {'layers': 2, 'hidden': 12, 'heads': 2, 'head_dim': 6, 'vocab': 23, 'ffn': {'hidden': 10}}
    return {'model': base | model, 'data': {'sequence_length': length} | (data or {}), 'train': {'batch': batch}}


def gate(position='sdpa', granularity='elementwise', heads='specific', combine='multiply', activation='sigmoid',
         input='hidden', bias=False):
    return {'position': position, 'granularity': granularity, 'heads': heads, 'combine': combine,
            'activation': activation, 'input': input, 'bias': bias}


def configurations():
    yield 'baseline', small({'tie_embeddings': True})
    yield 'long', small({'layers': 1, 'heads': 4, 'kv_heads': 2, 'head_dim': 4, 'attention': {'window': 66},
                         'gates': [gate()]}, batch=1, length=150)
    yield 'one_token', small({'qk_norm': False, 'gates': [gate('value', 'headwise', bias=True)]}, batch=3, length=1)
    yield 'sdpa_gates', small({'heads': 3, 'kv_heads': 1, 'gates': [
        gate(), gate(granularity='headwise', activation='ns_sigmoid', bias=True), gate(heads='shared', combine='add', activation='silu'),
        gate(heads='averaged', activation='identity'), gate(granularity='headwise', heads='averaged', bias=True)]})
    yield 'value_key_gates', small({'heads': 4, 'kv_heads': 2, 'head_dim': 4, 'gates': [
        gate('value', heads='averaged', bias=True), gate('key', activation='silu', combine='add'),
        gate('value', 'headwise', activation='ns_sigmoid'), gate('key', 'headwise', 'shared', combine='add', activation='identity'),
        gate('key', heads='shared', bias=True)]})
    yield 'query_output_gates', small({'gates': [
        gate('query', heads='averaged', activation='ns_sigmoid'), gate('output', bias=True),
        gate('query', 'headwise', combine='add', activation='identity'), gate('output', combine='add', activation='silu')]})
    yield 'constant_gates', small({'gates': [
        gate(input='none'), gate('value', 'headwise', input='none'), gate('key', heads='shared', input='none', combine='add'),
        gate('query', 'headwise', 'shared', input='none', combine='add', activation='identity'), gate('output', input='none', activation='silu')]})
    yield 'per_layer', small({'layers': 3, 'gates': {'0-1': [gate()], 2: [gate('value', activation='silu', bias=True)]},
                              'sandwich_norm': True, 'residual_clip': 0.8})
    yield 'norms', small({'heads': 4, 'kv_heads': 1, 'head_dim': 4, 'qk_norm': False, 'norm_eps': 1e-3, 'gates': [gate('query', 'headwise')],
                          'attention': {'window': 1, 'sdpa_norm': 'rmsnorm', 'sdpa_activation': 'silu'}, 'residual_clip': 1.0})
    yield 'documents', small({'attention': {'window': 5}, 'rope': {'theta': 500.0, 'scaling': 'linear', 'factor': 4.0},
                              'gates': [gate(heads='shared')]}, {'document_mask': True, 'delimiter': 3}, batch=2, length=70)
    yield 'yarn', small({'head_dim': 16, 'rope': {'theta': 100.0, 'scaling': 'yarn', 'factor': 4.0, 'original_length': 32},
                         'attention': {'sdpa_norm': 'rmsnorm'}}, batch=1, length=40)
    yield 'switch_v', small({'heads': 4, 'kv_heads': 2, 'head_dim': 4, 'switch_heads': {'target': 'v', 'experts': 4, 'top_k': 2}, 'gates': [gate()]})
    yield 'switch_kv', small({'kv_heads': 2, 'switch_heads': {'target': 'kv', 'experts': 3, 'top_k': 3},
                              'gates': [gate('key', combine='add', activation='identity'), gate('value', heads='shared')]})


def write(path, tensors, metadata):
    header, data = {'__metadata__': metadata}, b''
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        kind = {'float64': 'F64', 'int64': 'I64'}[str(array.dtype)]
        header[name] = {'dtype': kind, 'shape': list(array.shape), 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text + data)


def main():
    folder = pathlib.Path(sys.argv[1])
    for seed, (name, config) in enumerate(configurations()):
        text = yaml.safe_dump(config, sort_keys=False)
        model = Model(config, seed)
        shape = (config['train']['batch'], config['data']['sequence_length'] + 1)
        tokens = np.random.default_rng(1000 + seed).integers(0, config['model']['vocab'], shape)
        loss = model.loss(torch.tensor(tokens))
        loss.backward()
        tensors = {'tokens': tokens, 'loss': np.array([loss.item()])}
        for key, value in model.weights.items():
            tensors |= {key: value.detach().numpy(), 'grad/' + key: value.grad.numpy()}
        write(folder / f'{name}.safetensors', tensors, {'config': text})
        print(f'{name}: loss {loss.item():.6f}, {sum(v.numel() for v in model.weights.values())} weights')


if __name__ == '__main__':
    main()
