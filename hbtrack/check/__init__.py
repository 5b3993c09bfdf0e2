"""Does a script keep the contract? It is tried, point by point, in copies of its folder."""
