"""Differentiable numerics that know no effect. Each atom is a C++ kernel with a plain torch reference beside it."""
