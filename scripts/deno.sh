# Sourced by the launchers, which set `root`. Sets `deno` to a Deno executable that can be exec'ed, or ends with 2.
# shellcheck shell=sh

# The one version for which `deno compile` is known to work with every runtime base; see scripts/build/compile.ts.
pinned=2.7.11

fail() {
  printf 'oomkit: %s\n' "$1" >&2
  exit 2
}

# new_enough VERSION: is it at least the pinned one? Numerically: 2.10.0 is newer than 2.7.11.
new_enough() {
  old_ifs=$IFS
  IFS=.
  # shellcheck disable=SC2086
  set -- ${1%%[!0-9.]*} $pinned
  IFS=$old_ifs
  [ $# -eq 6 ] || return 1
  [ "$1" -gt "$4" ] && return 0
  [ "$1" -eq "$4" ] || return 1
  [ "$2" -gt "$5" ] && return 0
  [ "$2" -eq "$5" ] || return 1
  [ "$3" -ge "$6" ]
}

# The `deno` that npm installs may be a Node script that starts the real one and stays as its parent.
is_elf() {
  case $(head -c 4 -- "$1" 2>/dev/null) in
    *ELF) return 0 ;;
    *) return 1 ;;
  esac
}

real_deno='console.log("deno=" + Deno.execPath())'

deno_from_path() {
  deno=$(command -v deno) || return 1
  version=$("$deno" -V 2>/dev/null) || return 1
  new_enough "${version#deno }" || return 1
  is_elf "$deno" && return 0
  deno=$("$deno" eval "$real_deno" 2>/dev/null) || return 1
  deno=${deno#deno=}
}

# npx takes most of a second to say what a look at its cache says at once.
deno_from_npx_cache() {
  for deno in "${npm_config_cache:-${HOME:-/nonexistent}/.npm}"/_npx/*/node_modules/deno/deno; do
    [ -x "$deno" ] && is_elf "$deno" && [ "$("$deno" -V 2>/dev/null)" = "deno $pinned" ] && return 0
  done
  return 1
}

deno_from_npx() {
  command -v npx >/dev/null || fail "cannot start: neither deno (at least $pinned) nor npx is in PATH; install Deno, or Node.js with npm"
  [ -t 2 ] && printf 'oomkit: fetching Deno %s through npx\n' "$pinned" >&2
  # In another directory, so that no package.json or .npmrc of the caller has a say. Talk is kept back for the failure.
  said=$(cd "$root" && npm_config_loglevel=error npm_config_update_notifier=false \
    npx -y "deno@$pinned" eval "$real_deno" 2>&1) ||
    fail "cannot fetch Deno $pinned through npx: $(printf '%s\n' "$said" | grep . | tail -n 1); check the npm registry, or install Deno"
  deno=$(printf '%s\n' "$said" | sed -n 's/^deno=//p')
  [ -x "$deno" ] || fail "cannot find the Deno $pinned that npx ran: it says $deno; install Deno"
}

# Deno looks for itself in /proc before any program of ours can say a word.
[ -e /proc/self/exe ] || [ "$(uname -s 2>/dev/null)" != Linux ] ||
  fail "cannot start: /proc is not mounted, and Deno needs it; mount it: mount -t proc proc /proc"

# Machines behind a certificate authority of their own need the system's store, others may lack one.
export DENO_TLS_CA_STORE="${DENO_TLS_CA_STORE:-mozilla,system}"
export DENO_NO_UPDATE_CHECK=1

# A home that cannot be written is no place for caches; the tree may be.
if [ -n "${HOME:-}" ] && [ ! -w "$HOME" ] && [ -w "$root" ]; then
  export npm_config_cache="${npm_config_cache:-$root/dist/cache/npm}"
  export DENO_DIR="${DENO_DIR:-$root/dist/cache/deno}"
fi

deno_from_path || deno_from_npx_cache || deno_from_npx
