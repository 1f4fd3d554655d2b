"""A network that the package does not have: dense towers side by side, summed."""


def towers(layers, images):
    flat = layers.flatten()(images)
    return layers.sum()([tower(layers, flat) for _ in range(2)])


def tower(layers, x):
    for width in layers.variant.widths:
        x = layers.hidden(layers.dense(width), x)
    return x
