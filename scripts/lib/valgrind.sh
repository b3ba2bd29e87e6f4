# Makes sure that instructions can be counted. To be sourced after lib/toolchain.sh, not run:
#
#   need_valgrind                              # valgrind, and the symbols of the C library that it needs
#   need_cargo_tool gungraun-runner 0.20.0     # that version of a tool, into cargo_tools
#   PATH=$cargo_tools/bin:$PATH
#
# A tool is built once and stays with the build, so that neither the machine's own tools nor those of
# another tree are touched.
set -euo pipefail

cargo_tools=${CARGO_TARGET_DIR:-$toolchain_root/target}/tools
[[ $cargo_tools == /* ]] || cargo_tools=$PWD/$cargo_tools

# Ensures a valgrind that starts: in its way stands only a C library whose symbols were stripped.
need_valgrind() {
  need_tool valgrind
  local said
  said=$(valgrind --tool=none true 2>&1) && return 0
  if [[ $said == *libc6-dbg* ]]; then
    toolchain_install libc6-dbg
    said=$(valgrind --tool=none true 2>&1) && return 0
  fi
  toolchain_die "valgrind does not run here; it says:" "$said"
}

# need_cargo_tool PACKAGE VERSION: ensures exactly that version, built with its own lock file.
need_cargo_tool() {
  local package=$1 version=$2
  # Cargo's own note of what it installed there, with which version.
  grep -qsF "\"$package $version " "$cargo_tools/.crates.toml" && [[ -x $cargo_tools/bin/$package ]] && return 0
  toolchain_say "building $package $version: some three minutes, once"
  cargo install --locked --quiet --version "=$version" --root "$cargo_tools" "$package" >&2 ||
    toolchain_die "$package $version cannot be installed." \
      "It is needed to count instructions. Cargo's message above says why."
}
