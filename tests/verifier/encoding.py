"""Section 1: deterministic CBOR, and the checks that types are made of."""

import collections.abc
import io
import re

import cbor2

U16, U32, U64 = 2**16, 2**32, 2**64


class Invalid(Exception):
    """Something is not what it should be; the text is the code of the reason."""


def is_map_value(value):
    return isinstance(value, collections.abc.Mapping)


def need(condition, code="Unreadable"):
    if not condition:
        raise Invalid(code)


def canonical(data):
    """Decodes, encodes again, compares."""
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream).decode()
        again = cbor2.dumps(value, canonical=True)
    except Exception as error:  # whatever a CBOR library may say
        raise Invalid("Unreadable") from error
    need(stream.tell() == len(data) and again == data)
    return value


def seq(*items):
    return b"".join(cbor2.dumps(item, canonical=True) for item in items)


def is_uint(value, limit=U64):
    return type(value) is int and 0 <= value < limit


def is_bytes(value, size=None):
    return isinstance(value, bytes) and (size is None or len(value) == size)


def is_text(value, pattern, low, high):
    return isinstance(value, str) and low <= len(value.encode()) <= high and re.fullmatch(pattern, value) is not None


def is_uid(value):
    return is_text(value, r"[A-Za-z0-9-]*", 1, 64)


def is_name(value):
    return is_text(value, r"[a-z0-9.-]*", 1, 63)


def is_hash(value):
    return is_bytes(value, 32)


def is_bool(value):
    return isinstance(value, bool)


def fields(value, required, optional=()):
    """A map with just these keys; `required` and `optional` map a key to its check."""
    need(is_map_value(value))
    optional = dict(optional)
    need(set(required) <= set(value) <= set(required) | set(optional))
    for key, item in value.items():
        need(type(key) is int)
        need((required.get(key) or optional[key])(item))
    return True
