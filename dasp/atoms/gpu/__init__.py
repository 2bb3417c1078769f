"""The atoms' operators on CUDA, one file an atom, as Triton kernels. Each function has its operator's signature.

Imported at the first call with a CUDA tensor, never before: `import dasp` does without Triton.
"""
