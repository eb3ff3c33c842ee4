"""Schemathesis as those who may ask: each route with the credentials its description names, about things that are there."""

import json
import os
import random
import socket

import schemathesis

with open(os.environ["WAYBILL_CONTRACT_ROOM"], encoding="utf-8") as file:
    ROOM = json.load(file)
CHANCE = random.Random(int(os.environ["WAYBILL_CONTRACT_SEED"]))
RESOLVE = socket.getaddrinfo


def resolve(host, *rest, **more):
    """Names of the cluster are where the node forwards them; certificates are checked for the names."""
    return RESOLVE(ROOM["hosts"].get(host, host), *rest, **more)


socket.getaddrinfo = resolve


def shown(operation):
    """What the first of those whom the route lets in shows."""
    raw = operation.definition.raw
    for who in raw["x-waybill-who"]:
        if operation.path == "/api/agent/deliveries":
            who = "agent itself"
        if who == "reader" and {"session": []} in raw["security"]:
            who = "session-reader"
        if who in ROOM["shows"]:
            return who, ROOM["shows"][who]
    return None, {}


@schemathesis.hook
def before_call(ctx, case, kwargs):
    who, shows = shown(case.operation)
    if shows.get("bearer"):
        case.headers["Authorization"] = f"Bearer {shows['bearer']}"
    if shows.get("cookie"):
        name, value = shows["cookie"].split("=", 1)
        case.cookies[name] = value
    if shows.get("certificate"):
        kwargs["cert"] = tuple(shows["certificate"])
    # Mostly about what is there, now and then about what somebody made up.
    there = ROOM["parts"]["agent" if who in ("agent", "agent itself") else "all"]
    for name in case.path_parameters or {}:
        if name in there and CHANCE.random() < 0.8:
            case.path_parameters[name] = there[name]
