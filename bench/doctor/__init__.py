"""Check what works on a machine, what does not, and how to fix it.

The command ``bench doctor`` calls `doctor.examine`. The check modules turn facts into findings.
"""
