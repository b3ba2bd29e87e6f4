# Named, timed steps for scripts that do several things in a row. To be sourced, not run:
#
#   step "format" cargo fmt --check
#   steps_passed
#
# A step that fails ends the script and is named in the last line, with what it cost so far.
set -euo pipefail

steps_script=$(basename "$(cd "$(dirname "$0")" && pwd)")/$(basename "$0")
steps_done=0
step_now=''

step() {
  step_now=$1
  shift
  local from=$SECONDS
  printf '\n=== %s\n' "$step_now"
  "$@"
  printf -- '--- %s: %d s\n' "$step_now" "$((SECONDS - from))"
  steps_done=$((steps_done + 1))
  step_now=''
}

steps_passed() {
  printf '\n%s: all %d steps passed in %d s\n' "$steps_script" "$steps_done" "$SECONDS"
}

steps_end() {
  local status=$1
  ((status == 0)) && return 0
  printf '\n%s: FAILED in step "%s" (exit %d) after %d s; %d steps before it passed\n' \
    "$steps_script" "${step_now:-preparation}" "$status" "$SECONDS" "$steps_done" >&2
}
trap 'steps_end $?' EXIT
