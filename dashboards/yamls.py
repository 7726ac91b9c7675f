"""How the files are written, so that the same content is the same text: names in the order given, short lists in one line."""

from typing import Any

import yaml

WIDTH = 140
"""Of a line; a mapping that fits into one stands in one."""


class _Dumper(yaml.SafeDumper):
    """YAML without aliases, lists set in."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, False)


def _leaf(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _mapping(dumper: _Dumper, data: dict[str, Any]) -> yaml.Node:
    length = sum(len(f"{key}: {value}, ") for key, value in data.items())
    short = bool(data) and all(map(_leaf, data.values())) and length < WIDTH - 10
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=short)


def _sequence(dumper: _Dumper, data: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=all(map(_leaf, data)))


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _sequence)


def dumped(content: dict[str, Any]) -> str:
    """The text of a file."""
    lines = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)
    return str(lines)
