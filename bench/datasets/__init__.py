"""What is trained on: Fashion-MNIST, found or fetched and checked, and synthetic data.

``load.load_arrays`` is the door. Behind it, ``fashion_mnist`` reads and checks one folder,
``places`` knows the order in which folders are looked at, ``fetch`` gets what is nowhere,
and ``synthetic`` makes data of any shape. Numpy only: the driver reads a data set once and
hands the arrays to its workers.
"""
