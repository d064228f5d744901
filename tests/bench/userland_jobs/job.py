# SPDX-License-Identifier: MIT
"""What Python scripts do: objects and methods, dictionaries, strings and regular expressions, integers beyond 64 bits, floats, JSON."""
import collections
import json
import re


class Node:
    def __init__(self, key):
        self.key, self.left, self.right = key, None, None

    def insert(self, key):
        side = "left" if key < self.key else "right"
        child = getattr(self, side)
        if child:
            child.insert(key)
        else:
            setattr(self, side, Node(key))

    def depth(self):
        return 1 + max(child.depth() if child else 0 for child in (self.left, self.right))


def tree(count):
    root, key = Node(1 << 19), 12345
    for _ in range(count):
        key = (key * 1103515245 + 12345) % (1 << 20)
        root.insert(key)
    return root.depth()


def mandelbrot(size):
    inside = 0
    for y in range(size):
        for x in range(size):
            c, z, n = complex(3 * x / size - 2, 2 * y / size - 1), 0j, 0
            while abs(z) < 2 and n < 40:
                z, n = z * z + c, n + 1
            inside += n == 40
    return inside


with open("text") as file:
    text = file.read(1_500_000)
for _ in range(2):
    print(tree(12_000), mandelbrot(90))
    print(collections.Counter(text.split()).most_common(20))
    print(len(re.findall(r"\b[a-e]\w+ing?\b|\b(\w)\w\1\b", text[:600_000])))
    rows = [{"name": word, "at": i, "share": i / 7} for i, word in enumerate(text[:200_000].split())]
    print(sum(row["at"] for row in json.loads(json.dumps(rows)) if row["share"] > 9), sorted(rows, key=lambda r: r["name"])[99])
    print(pow(3, 9_000) % 10**40, sum(int(d) for d in str(7**4_000)))
