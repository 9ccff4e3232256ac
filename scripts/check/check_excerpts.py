#!/usr/bin/env python3
"""Holds pages to the code that they quote: a block that opens with ```cpp FILE must stand in FILE, line by line, whatever the indentation;
a line `...` stands for lines that are left out. What CONTRIBUTING.md names in `backquotes` as a test (Suite.Name) must be one.

usage: check_excerpts.py [--self-test]        exit code 1 and a line a fault"""
import pathlib, re, sys, tempfile


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def stands_in(excerpt, code):
    """Whether the excerpt's runs of lines, between lines `...`, follow each other in the code."""
    at = 0
    for part in '\n'.join(excerpt).split('\n...\n'):
        run = part.splitlines()
        at = next((i + len(run) for i in range(at, len(code) - len(run) + 1) if code[i:i + len(run)] == run), None)
        if at is None:
            return False
    return True


def faults(root):
    suites = '\n'.join(path.read_text() for path in sorted((root/'tests').rglob('*.cpp')))
    tests = {f'{suite}.{name}' for suite, name in re.findall(r'\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)', suites)}
    quoted = 0
    for page in sorted([*root.glob('*.md'), *root.glob('docs/*.md')]):
        text = page.read_text()
        here = page.relative_to(root)
        for name, excerpt in re.findall(r'^ *```cpp (\S+)\n(.*?)^ *```$', text, re.M | re.S):
            quoted += 1
            if not (root/name).is_file():
                yield f'{here}: quotes {name}, which is not there'
            elif not stands_in(lines_of(excerpt), lines_of((root/name).read_text())):
                yield f'{here}: what it quotes of {name} does not stand there: {lines_of(excerpt)[0]}'
        for link in re.findall(r'\]\((?!https?:|#)([^)#]+)', text):
            if not (page.parent/link).exists():
                yield f'{here}: links to {link}, which is not there'
        for test in re.findall(r'`([A-Z]\w+\.[A-Z]\w+)`', text) if page.name == 'CONTRIBUTING.md' else ():
            if test not in tests:
                yield f'{here}: names {test}, which is no test'
    if not quoted:
        yield 'no page quotes code'


def self_test():
    files = {'a.cpp': 'int f() {\n    g();\n    h();\n    return 1;\n}\n', 'tests/t.cpp': 'TEST(Suite, There) {}\n',
             'docs/good.md': '```cpp a.cpp\nint f() {\n    ...\n  return 1;\n```\n[a](../a.cpp)\n', 'CONTRIBUTING.md': '`Suite.There` `Suite.Gone`\n',
             'bad.md': '```cpp a.cpp\ng();\nreturn 1;\n```\n```cpp a.cpp\nreturn 1;\n...\ng();\n```\n```cpp b.cpp\nx\n```\n[x](gone.h)\n'}
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            (root/name).parent.mkdir(parents=True, exist_ok=True)
            (root/name).write_text(text)
        found = list(faults(root))
    expected = ['Suite.Gone', 'not stand there: g();', 'not stand there: return 1;', 'quotes b.cpp', 'gone.h']
    if len(found) != len(expected) or any(e not in '\n'.join(found) for e in expected):
        sys.exit(f'check_excerpts.py finds {found}')


if __name__ == '__main__':
    if '--self-test' in sys.argv:
        self_test()
    else:
        found = list(faults(pathlib.Path(__file__).resolve().parents[2]))
        print('\n'.join(found) if found else 'the pages quote what is there')
        sys.exit(bool(found))
