"""What works on a machine, what does not, and how to mend it.

The command ``bench doctor`` calls `doctor.examine`; the checks turn facts into findings.
"""
