"""CUDA in a trial's process: libraries, versions, kernels, NCCL's log.

`cuda_libraries.load_installed` must run before TensorFlow is imported.
"""
