"""The project's named random streams, written anew in NumPy: SHA-256 of a path is the key of ChaCha8."""

import hashlib

import numpy as np

CONSTANTS = np.frombuffer(b"expand 32-byte k", "<u4")
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


class Seed:
    """A place in the tree of randomness."""

    def __init__(self, number=0):
        self.key = hashlib.sha256(number.to_bytes(8, "little")).digest()

    def child(self, name):
        below = Seed()
        below.key = hashlib.sha256(self.key + name.encode()).digest()
        return below

    def words(self, count):
        """The first `count` words of 32 bits, all blocks side by side."""
        blocks = -(-count // 16)
        start = np.zeros((16, blocks), dtype=np.uint32)
        start[0:4] = CONSTANTS[:, None]
        start[4:12] = np.frombuffer(self.key, "<u4")[:, None]
        start[12] = np.arange(blocks)
        state = start.copy()
        for _ in range(4):
            for quarters in (COLUMNS, DIAGONALS):
                for a, b, c, d in quarters:
                    for p, q, r, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                        state[p] += state[q]
                        mixed = state[r] ^ state[p]
                        state[r] = mixed << np.uint32(bits) | mixed >> np.uint32(32 - bits)
        return (state + start).T.ravel()[:count]

    def uniform(self, count):
        """In [0, 1), 24 bits each."""
        return (self.words(count) >> np.uint32(8)) / 2.0**24
