"""What is observed around a trial: the host, the GPUs, the software.

The only room that imports pynvml and psutil; it never touches TensorFlow or Ray, so that any
process may look without taking a device.
"""
