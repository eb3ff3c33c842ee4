#!/usr/bin/env python3
"""A verifier of Waybill logs, written from docs/proof-format.md alone.

It needs cbor2 and cryptography, takes the table of section 8.4 and the closed lists out of the document itself, and checks the test vectors:

    verify.py --document docs/proof-format.md --vectors services/protocol/vectors

or a Delivery of a cluster, against the authorities that the reader brings:

    kubectl get delivery upc-1 --output json >delivery.json
    verify.py --document docs/proof-format.md --delivery delivery.json --authorities roots.pem

Section numbers in the comments are those of the document.
"""

import argparse
import json
import pathlib
import sys

from codes import check_derived, check_messages
from delivery import check_delivery
from events import Document, fact_checks
from log import read_log


def check_logs(vectors, doc, agree):
    checks = fact_checks(doc)
    cas = {bytes.fromhex(ca["kid"]): bytes.fromhex(ca["public_key"]) for ca in vectors["cas"]}
    shared = [bytes.fromhex(entry) for entry in vectors["entries"]]
    for case in vectors["logs"]:
        entries = [shared[place] for place in case["entries"]]
        verdicts, after = read_log(doc, checks, case, cas, entries)
        for index, (ours, theirs) in enumerate(zip(verdicts, case["verdicts"], strict=True)):
            agree(f"{case['name']}: verdict of entry {index}", ours, theirs)
        for index, (ours, theirs) in enumerate(zip(after, case["after_each"], strict=True)):
            agree(f"{case['name']}: after entry {index}", ours, theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--document", type=pathlib.Path, required=True)
    parser.add_argument("--vectors", type=pathlib.Path)
    parser.add_argument("--delivery", type=pathlib.Path)
    parser.add_argument("--authorities", type=pathlib.Path)
    options = parser.parse_args()
    doc = Document(options.document.read_text(encoding="utf-8"))
    disagreements, checked = [], 0

    def agree(what, ours, theirs):
        nonlocal checked
        checked += 1
        if ours != theirs:
            disagreements.append(f"{what}: here {ours}, there {theirs}")

    checks = {"logs.json": lambda v: check_logs(v, doc, agree), "derived.json": lambda v: check_derived(v, agree)}
    checks["messages.json"] = lambda v: check_messages(v, agree)
    for name, check in checks.items() if options.vectors else ():
        path = options.vectors / name
        if path.exists():
            check(json.loads(path.read_text(encoding="utf-8")))
    if options.delivery:
        text, roots = options.delivery.read_text(encoding="utf-8"), options.authorities.read_bytes()
        check_delivery(doc, fact_checks(doc), text, roots, agree)
    for line in disagreements[:50]:
        print(line)
    if disagreements or not checked:
        print(f"{len(disagreements)} of {checked} checks disagree")
        return 1
    print(f"{checked} checks, all agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
