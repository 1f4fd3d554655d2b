"""Provide the training data: Fashion-MNIST, checked before use, and synthetic images.

``load.load_arrays`` is the entry point. Behind it, ``fashion_mnist`` reads and checks one folder,
``data_folders`` lists the folders to search, ``fetch`` downloads missing files, and ``synthetic``
makes images of any shape. Needs only numpy: the driver reads a dataset once and sends the arrays
to its workers.
"""
