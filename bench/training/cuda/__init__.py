"""CUDA as a trial finds it: libraries, versions, kernels, NCCL's log."""
