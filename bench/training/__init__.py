"""How one trial trains. The only room that imports TensorFlow.

``trial.train`` is the door; the other modules are its parts, in the order in which it uses
them: runtime, precision, models, optimizer, order, augment, pipeline, program, evaluate.
"""

from bench.training.cuda.cuda_libraries import load_installed

# Here, since whichever module imports TensorFlow first must find the libraries loaded.
load_installed()
