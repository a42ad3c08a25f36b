"""Writes digits.bin: the first 600 of scikit-learn's handwritten digits (UCI, CC BY 4.0).

Each digit is 65 bytes: its class, then its 8 x 8 pixels, 0 to 16. Prints the results of openTSNE with the settings that this
project copies: the KL divergence, and the share of digits whose nearest neighbour in the plane is of the same class. The test
compares with them.
"""
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors
from openTSNE import TSNEEmbedding, affinity, initialization

data, classes = load_digits(return_X_y=True)
data, classes = data[:600], classes[:600]
np.hstack([classes[:, None], data]).astype(np.uint8).tofile("digits.bin")
for seed in range(3):
    P = affinity.PerplexityBasedNN(data, perplexity=30, method="exact", random_state=seed)
    E = TSNEEmbedding(initialization.pca(data, random_state=seed), P, negative_gradient_method="bh", theta=0.0, random_state=seed)
    E.optimize(250, exaggeration=12, inplace=True)
    E.optimize(500, inplace=True)
    near = NearestNeighbors(n_neighbors=2).fit(E).kneighbors(E, return_distance=False)[:, 1]
    print(f"seed {seed}: KL {E.kl_divergence:.4f}, same class {np.mean(classes[near] == classes):.4f}")
