# SPDX-License-Identifier: MIT
"""Makes the jobs' input in the current folder: text (12 MB of words that compress as text does), lines (200 000 records)."""
import random

random.seed(7)
letters = "etaoinshrdlucmfwypvbgkjqxz"
words = ["".join(random.choices(letters, range(27, 1, -1), k=random.randint(2, 9))) for _ in range(6000)]
page = " ".join(random.choices(words, [1 / (i + 1) for i in range(6000)], k=400_000))
with open("text", "w") as file:
    for shift in range(0, 100, 20):
        file.write(page[shift:])
with open("lines", "w") as file:
    for i in range(200_000):
        file.write(f"{random.getrandbits(30)} {random.getrandbits(16)} {words[i % 6000]}\n")
