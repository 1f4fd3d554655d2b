"""Train one trial. Only this package imports TensorFlow.

`trial.train` is the entry point. `data/` feeds it examples, `model/` builds its network, `loop/`
compiles and times its epochs, `layer_health/` examines its layers, `cuda/` covers the libraries.
"""

from bench.training.cuda.cuda_libraries import load_installed

# TensorFlow looks for the libraries while it is imported, and any module here may import it.
load_installed()
