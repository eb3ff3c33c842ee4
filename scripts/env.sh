# Sourced by the other scripts: where things are. Everything slow to build lives outside the checkout, keyed by version,
# so a fresh clone starts warm.
CACHE=${WAYBILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/waybill}
CLUSTER=${WAYBILL_CLUSTER:-waybill}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
export WAYBILL_CLUSTER=$CLUSTER
# A clone that is built once gains nothing from incremental state, and an interrupted run can leave it damaged.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WBNODE=$CACHE/bin/wbnode
# What is built how: tests and `make up` by the development profile; figures by the one that is released.
PROFILE=${WAYBILL_PROFILE:-dev}
BUILT=$CARGO_TARGET_DIR/$([ "$PROFILE" = dev ] && echo debug || echo "$PROFILE")
STATE=$CACHE/clusters/$CLUSTER # what `make up` remembers about a cluster
step() { "$ROOT/scripts/step" "$@"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# kind when a Docker engine answers, our own node otherwise; a cluster that is up stays what it is.
backend() {
  if [ -s "$STATE/backend" ]; then cat "$STATE/backend"
  elif docker info >/dev/null 2>&1 && command -v kind >/dev/null; then echo kind
  else echo node; fi
}

# The path of a program the node tool keeps: kubectl, helm3, helm4.
node_tool() { "$WBNODE" path "$1"; }
