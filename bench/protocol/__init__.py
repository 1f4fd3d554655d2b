"""How a holder of devices and its trial processes talk: lines of JSON, and arrays in shared memory.

`messages` defines and describes every message. Nothing here imports TensorFlow or Ray, so that a
trial process may run under another interpreter than its holder.
"""
