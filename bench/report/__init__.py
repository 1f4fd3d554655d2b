"""From numbers to what people read: the only room in which a value becomes text."""
