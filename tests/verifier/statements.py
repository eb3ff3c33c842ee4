"""Section 3: key statements."""

from encoding import Invalid, canonical, fields, is_hash, is_name, is_uid, is_uint, need
from signatures import envelope, es256_holds, is_ed25519_key, is_x25519_key, sig_structure

STATEMENT = {
    0: lambda v: v == 1,
    1: is_uid,
    2: is_name,
    3: is_name,
    4: lambda v: is_uint(v, 3),
    5: lambda v: is_uint(v, 2),
    6: is_ed25519_key,
    8: is_hash,
    9: is_uint,
    10: is_uint,
    11: is_uint,
}


def read_statement(data, cas):
    try:
        need(len(data) <= 1024)
        protected, payload, signature = envelope(data)
        need(len(protected) == 38 and protected[:6] == bytes.fromhex("a20126045820"))
        point = cas.get(protected[6:])
        need(point is not None)
        need(es256_holds(point, signature, sig_structure(protected, b"key-statement", payload)))
        statement = canonical(payload)
        fields(statement, STATEMENT, {7: is_x25519_key})
        need(statement[10] < statement[11])
        need((statement[4] == 2) == (7 not in statement))
        need(statement[4] == 1 or statement[5] == 0)
        return statement
    except Invalid as error:
        raise Invalid("Statement") from error
