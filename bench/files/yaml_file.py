"""YAML of unknown origin as plain data, in a time that its size bounds.

Usage:
    content = parse_yaml(text)          # ValueError, with the reason, where it is none
"""

from typing import Any

_MOST_VALUES = 100_000


def parse_yaml(text: str) -> Any:
    """The content of a YAML document, of plain data alone.

    Raises ValueError where it is none, or where its aliases make too many values of it: what nests
    aliases of aliases is small in a file and in memory, and without end to who walks through it.
    """
    import yaml

    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES} values")
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    finally:
        loader.dispose()


def _values(node: Any, known: dict[int, int]) -> int:
    """How many values a node of YAML is, written out; ``known`` has those of parts by identity."""
    if id(node) not in known:
        known[id(node)] = _MOST_VALUES  # of a part that holds itself
        parts = node.value if isinstance(node.value, list) else []
        # The parts of a mapping are pairs of nodes.
        flat = (one for part in parts for one in (part if isinstance(part, tuple) else (part,)))
        known[id(node)] = 1 + sum(_values(one, known) for one in flat)
    return known[id(node)]
