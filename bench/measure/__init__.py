"""Observe the machine around a trial: host, GPUs and software.

The only package that imports pynvml and psutil. It never imports TensorFlow or Ray, so any process
can use it without occupying a device.
"""
