"""Physics and arithmetic: pure functions from arrays to arrays, in coherent units (W, J, s, g, g/J), without I/O."""
