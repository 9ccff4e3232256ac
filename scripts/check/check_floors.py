#!/usr/bin/env python3
"""Holds the house to its plan: includes point downward, no cycles, foreign headers stay in their rooms, files and functions stay small.

usage: check_floors.py [--self-test]        exit code 1 and a line a fault"""
import pathlib, re, sys, tempfile

# The rooms from the ground up. A room may look at those named beside it and at what these look at.
FLOORS = {}


def room(name, *below):
    FLOORS[name] = set(below).union(*(FLOORS[r] for r in below))


room('src/base')
room('src/cli', 'src/base')
room('kernels', 'src/base')
room('src/parallel', 'src/cli', 'kernels')
room('src/tensor', 'src/parallel')
room('src/config', 'src/base')
room('src/text', 'src/cli')
room('src/documents', 'src/text')
room('src/data', 'src/text', 'src/config')
room('data_tools', 'src/documents', 'src/data')
room('src/layers', 'src/tensor', 'src/config')
room('src/mixers', 'src/layers')
room('src/model', 'src/mixers')
room('src/optim', 'src/model')
room('src/checkpoint', 'src/data', 'src/tensor')
room('src/plan', 'src/optim')
room('src/eval', 'src/model', 'src/data')
room('src/log', 'src/eval', 'src/checkpoint')
room('src/train', 'src/plan', 'src/log')
room('src/sweep', 'src/log')
room('src/report', 'src/sweep')
room('src/engine', 'src/train')
room('src/apps', 'src/engine', 'src/plan', 'src/documents', 'src/report')
ROOMS = [  # pattern in the code, folders where it may stand, what it is
    (r'#include\s*<mpi\.h>', ('src/parallel',), 'mpi.h'),
    (r'#include\s*<nccl', ('kernels/cuda',), 'nccl.h'),
    (r'#include\s*<cuda', ('kernels/cuda',), 'CUDA headers'),
    (r'#include\s*<.*dnnl', ('kernels/cpu/gemm',), 'oneDNN'),
    (r'#include\s*<blis', ('kernels/cpu/gemm',), 'BLIS'),
    (r'#include\s*"kernels/cpu/', ('kernels/cpu',), 'what a backend has to itself'),
    (r'(?i)onednn|dnnl|\bblis\b|gemm_?(shape|algorithm|choice)', ('kernels',), 'a word of how GEMMs are multiplied'),
    (r'\b(Cpu|Cuda)<', ('kernels', 'src/model/with_backend.h'), 'a backend by its name'),
    (r'\bgetenv\b', ('src/base', 'src/cli', 'src/parallel', 'src/engine', 'kernels/emu'), 'getenv'),
    (r'\basm\b|<<<', ('kernels/cuda/prim',), 'asm and <<<'),
]
LINES = {'kernels': 600}
MOST_LINES, MOST_FUNCTION, MOST_MODEL_FUNCTION = 400, 80, 150


def floor_of(path):
    return next((f for f in FLOORS if str(path).startswith(f + '/')), None)


def sources(root):
    for folder in ('src', 'kernels', 'data_tools'):
        for path in sorted((root/folder).rglob('*')):
            if path.suffix in ('.h', '.cpp', '.cu', '.cuh'):
                yield path.relative_to(root)


def resolve(root, name):
    """The file that #include "name" means: from the root, or from src."""
    return next((pathlib.Path(p) for p in (name, 'src/' + name) if (root/p).is_file()), None)


def functions(text):
    """(first line, lines) of each outermost brace block that opens after a closing parenthesis: a function's body."""
    text = re.sub(r'//[^\n]*|"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])\'', '', text)
    stack, line = [], 1
    for i, c in enumerate(text):
        line += c == '\n'
        if c == '{':
            before = text[:i].rstrip()[-80:]
            body = bool(re.search(r'\)\s*(const|override|noexcept|mutable|->\s*[\w:<>*&]+|\s)*$', before))
            stack.append((line, body and not any(b for _, b in stack)))
        elif c == '}' and stack:
            start, body = stack.pop()
            if body:
                yield start, line - start + 1


WRITTEN_BY_THE_BUILD = {'commit.h'}   # cmake/commit.cmake


def faults(root):
    graph = {}
    for path in sources(root):
        text = (root/path).read_text()
        here, floor = str(path), floor_of(path)
        if floor is None:
            yield f'{here}: stands on no floor'
            continue
        graph[path] = []
        for name in re.findall(r'^\s*#include\s*"([^"]+)"', text, re.M):
            if name in WRITTEN_BY_THE_BUILD:
                continue
            target = resolve(root, name)
            if target is None:
                yield f'{here}: includes "{name}", which is not there'
                continue
            graph[path].append(target)
            other = floor_of(target)
            if other != floor and other not in FLOORS[floor]:
                yield f'{here}: includes {target}: {floor} may not look at {other}'
        code = re.sub(r'//[^\n]*', '', text)
        for pattern, rooms, what in ROOMS:
            if re.search(pattern, code) and not any((here + '/').startswith(r + '/') for r in rooms):
                yield f'{here}: {what} belongs in {" or ".join(rooms)}'
        most = LINES.get(floor, MOST_LINES)
        if text.count('\n') > most:
            yield f'{here}: {text.count(chr(10))} lines, at most {most}'
        most = MOST_MODEL_FUNCTION if floor == 'src/model' else MOST_FUNCTION
        for line, length in functions(text):
            if length > most:
                yield f'{here}:{line}: a function of {length} lines, at most {most}'
    rooms = {f.split('/')[-1] for f in FLOORS} | {'golden', 'support', 'cuda', 'emu', 'gpu'}
    for folder in sorted((root/'tests').glob('*/')):
        if folder.is_dir() and folder.name not in rooms:
            yield f'tests/{folder.name}: mirrors no room'
    yield from cycles(graph)


def cycles(graph):
    state = {}

    def visit(path, trail):
        state[path] = 1
        for target in graph.get(path, []):
            if state.get(target) == 1:
                yield f'{path}: a circle of includes through {target}'
            elif target not in state:
                yield from visit(target, trail + [path])
        state[path] = 2

    for path in graph:
        if path not in state:
            yield from visit(path, [])


def self_test():
    bad = {
        'src/base/a.h': '#include "train/b.h"\n', 'src/train/b.h': '#include "base/a.h"\n',   # upward, and a circle
        'src/layers/c.cpp': '#include <mpi.h>\nint x = *getenv("A");\n',
        'src/model/d.cpp': 'int f() {\n' + '    g();\n' * 200 + '}\n',
        'src/config/e.cpp': 'int x;\n' * 500, 'data_tools/h.cpp': '#include "train/b.h"\n', 'src/attic/f.cpp': '', 'src/apps/g.cpp': '#include "nowhere.h"\n',
        'kernels/cpu/x.h': '', 'src/eval/i.cpp': '#include "kernels/cpu/x.h"\nint onednn_calls;\n', 'kernels/cpu/y.cpp': '#include <blis.h>\n',
        'src/plan/j.cpp': 'Cpu<float> x;\n', 'src/model/with_backend.h': 'Cpu<float> x;\n', 'tests/attic/k.cpp': '', 'tests/model/l.cpp': '',
    }
    expected = ['src/base may not look at src/train', 'data_tools may not look at src/train', 'circle', 'mpi.h', 'getenv', 'a function of 202', '500 lines', 'no floor', 'not there',
                'has to itself belongs', 'GEMMs are multiplied belongs', 'BLIS belongs', 'src/plan/j.cpp: a backend by its name', 'tests/attic: mirrors']
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in bad.items():
            (root/name).parent.mkdir(parents=True, exist_ok=True)
            (root/name).write_text(text)
        found = '\n'.join(faults(root))
    missed = [e for e in expected if e not in found]
    if missed:
        sys.exit(f'check_floors.py misses: {missed}\n{found}')


if __name__ == '__main__':
    if '--self-test' in sys.argv:
        self_test()
    else:
        found = list(faults(pathlib.Path(__file__).resolve().parents[2]))
        print('\n'.join(found) if found else 'the floors hold')
        sys.exit(bool(found))
