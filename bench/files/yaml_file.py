"""Parse YAML of unknown origin as plain data, with a limit on its size when expanded.

Usage:
    content = parse_yaml(text)          # ValueError, with the reason, if it is invalid
"""

from typing import Any

_MAX_VALUES = 100_000


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML document that holds only plain data.

    Raises ValueError if it is invalid or if its aliases expand to too many values: nested aliases
    take little space in a file and in memory, but walking through them would never end.
    """
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > _MAX_VALUES:
            raise ValueError(f"it has more than {_MAX_VALUES} values")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    finally:
        loader.dispose()


def _values(node: Any, known: dict[int, int]) -> int:
    """Count the values of an expanded YAML node; ``known`` caches counts of parts by identity."""
    if id(node) not in known:
        known[id(node)] = _MAX_VALUES  # for a part that contains itself
        parts = node.value if isinstance(node.value, list) else []
        # The parts of a mapping are pairs of nodes.
        flat = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_values(one, known) for one in flat)
    return known[id(node)]
