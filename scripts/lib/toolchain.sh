# Makes sure that what a build of this tree needs is there. To be sourced, not run:
#
#   source "$(dirname "${BASH_SOURCE[0]}")/lib/toolchain.sh"
#   need_toolchain                 # a C compiler, cargo and rustc, new enough
#   need_component clippy          # or rustfmt
#   need_tool valgrind             # or: need_tool COMMAND PACKAGE...
#
# Where nothing is missing it says nothing and asks no package manager. What is missing comes from
# rustup, where there is one, or from apt on Debian and Ubuntu; anywhere else it says what to install.
# Nothing is ever fetched and piped into a shell.
set -euo pipefail

toolchain_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
toolchain_apt_is_fresh=no
toolchain_missing=''

toolchain_say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

toolchain_die() {
  toolchain_say "$1"
  shift
  local line
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

# The oldest Rust that the workspace accepts, as its manifest says.
toolchain_wanted() {
  local wanted
  wanted=$(sed -n '/^\[workspace.package\]/,/^\[/s/^rust-version *= *"\([0-9.]*\)".*/\1/p' \
    "$toolchain_root/Cargo.toml")
  [[ -n $wanted ]] || toolchain_die "no rust-version under [workspace.package] in Cargo.toml"
  printf '%s\n' "$wanted"
}

# at_least FOUND WANTED: compares dotted versions number by number.
toolchain_at_least() {
  local -a found wanted
  IFS=. read -ra found <<<"${1%%[!0-9.]*}"
  IFS=. read -ra wanted <<<"$2"
  local i
  for i in 0 1 2; do
    ((10#${found[i]:-0} > 10#${wanted[i]:-0})) && return 0
    ((10#${found[i]:-0} < 10#${wanted[i]:-0})) && return 1
  done
  return 0
}

# The version of the rustc in folder $1, or nothing where it (or the cargo beside it) does not work.
toolchain_version_in() {
  [[ -x $1/rustc && -x $1/cargo ]] || return 0
  "$1/cargo" --version >/dev/null 2>&1 || return 0
  { "$1/rustc" --version 2>/dev/null || true; } | sed -n 's/^rustc \([0-9.]*\).*/\1/p'
}

# Puts the first folder with a new enough Rust in front of PATH. Leaves the best that was found, for
# the message, in toolchain_found.
toolchain_adopt() {
  local wanted=$1 path_dir='' dir version
  toolchain_found=''
  if command -v cargo >/dev/null && command -v rustc >/dev/null; then
    path_dir=$(dirname "$(command -v cargo)")
    [[ $(dirname "$(command -v rustc)") == "$path_dir" ]] || path_dir=''
  fi
  # Ubuntu keeps its versioned packages under /usr/lib/rust-X.YY/bin: newest first.
  local -a places=()
  [[ -n $path_dir ]] && places+=("$path_dir")
  places+=("${CARGO_HOME:-${HOME:-/root}/.cargo}/bin" /usr/local/bin /usr/bin)
  while read -r dir; do places+=("$dir"); done \
    < <(printf '%s\n' /usr/lib/rust-*/bin | grep -v '[*]' | sort -rV || true)
  for dir in "${places[@]}"; do
    version=$(toolchain_version_in "$dir")
    [[ -n $version ]] || continue
    if toolchain_at_least "$version" "$wanted"; then
      toolchain_bin=$dir
      [[ $dir == "$path_dir" ]] || export PATH="$dir:$PATH"
      return 0
    fi
    [[ -n $toolchain_found ]] || toolchain_found="$version in $dir"
  done
  return 1
}

toolchain_rustup() {
  local cargo_home=${CARGO_HOME:-${HOME:-/root}/.cargo}
  if command -v rustup >/dev/null; then
    command -v rustup
  elif [[ -x $cargo_home/bin/rustup ]]; then
    printf '%s\n' "$cargo_home/bin/rustup"
  fi
}

toolchain_as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    toolchain_die "missing: ${toolchain_missing:-packages}" \
      "Installing needs root, and there is no sudo here: run this script once as root, or install them" \
      "with this system's own means."
  fi
}

toolchain_refresh_apt() {
  [[ $toolchain_apt_is_fresh == yes ]] && return 0
  toolchain_as_root apt-get update -qq >&2
  toolchain_apt_is_fresh=yes
}

toolchain_install() {
  toolchain_missing="$*"
  command -v apt-get >/dev/null ||
    toolchain_die "missing: $*" "There is no apt-get here: install these with this system's own means."
  toolchain_refresh_apt
  toolchain_say "installing $*"
  toolchain_as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$@" >&2
}

# The version of a package that apt would install, without its Debian parts; empty for none.
toolchain_candidate() {
  LC_ALL=C apt-cache policy "$1" 2>/dev/null |
    sed -n 's/^ *Candidate: *\([0-9][0-9.]*\).*/\1/p'
}

# Debian gives a release new Rust versions through its security suite. A machine set up with the main
# suite alone does not see them, so the suite is added, from the mirror that the machine uses already.
toolchain_add_debian_security() {
  # shellcheck disable=SC1091
  local id codename
  id=$(. /etc/os-release && printf '%s' "${ID:-}")
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  [[ $id == debian && -n $codename ]] || return 0
  local -a sources=()
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [[ -e $file ]] && sources+=("$file")
  done
  ((${#sources[@]})) || return 0
  local active mirror
  active=$(grep -hv '^ *#' "${sources[@]}" || true)
  [[ $active == *"$codename-security"* ]] && return 0
  mirror=$(grep -oE '[a-z+]+://[^ ]+/debian/?( |$)' <<<"$active" | head -n 1 || true)
  mirror=${mirror%% *}
  mirror=${mirror%/}
  [[ -n $mirror ]] || return 0
  toolchain_say "adding Debian's security suite, which has the newer Rust: /etc/apt/sources.list.d/$codename-security.list"
  printf 'deb %s-security %s-security main\n' "$mirror" "$codename" |
    toolchain_as_root tee "/etc/apt/sources.list.d/$codename-security.list" >/dev/null
  toolchain_apt_is_fresh=no
  toolchain_refresh_apt
}

# Prints "VERSION SUFFIX KIND" of the newest Rust that apt knows. Kinds: web (rustc-web), versioned
# (rustc-1.89), plain (rustc).
toolchain_newest_packaged() {
  local name version
  while read -r name; do
    version=$(toolchain_candidate "$name")
    [[ -n $version ]] || continue
    case $name in
      rustc) printf '%s rustc cargo\n' "$version" ;;
      *) printf '%s %s cargo%s\n' "$version" "$name" "${name#rustc}" ;;
    esac
  done < <(LC_ALL=C apt-cache pkgnames rustc | grep -xE 'rustc(-web|-[0-9]+\.[0-9]+)?' || true) |
    sort -rV | head -n 1
}

toolchain_install_rust_from_apt() {
  local wanted=$1 version rustc cargo
  command -v apt-get >/dev/null || return 0
  toolchain_missing="Rust $wanted or newer"
  toolchain_refresh_apt
  read -r version rustc cargo < <(toolchain_newest_packaged) || true
  if ! toolchain_at_least "${version:-0}" "$wanted"; then
    toolchain_add_debian_security
    read -r version rustc cargo < <(toolchain_newest_packaged) || true
  fi
  if toolchain_at_least "${version:-0}" "$wanted"; then
    # ca-certificates: cargo fetches the locked dependencies over TLS.
    toolchain_install "$rustc" "$cargo" ca-certificates
  elif [[ -n $(toolchain_candidate rustup) ]]; then
    toolchain_say "the newest packaged Rust is ${version:-none}: taking the packaged rustup instead"
    toolchain_install rustup ca-certificates
  else
    toolchain_found="${version:-none} as the newest package"
  fi
}

# Ensures cc (with the C library's headers), cargo and rustc.
need_toolchain() {
  local wanted rustup
  wanted=$(toolchain_wanted)
  if ! command -v cc >/dev/null; then
    toolchain_install gcc libc6-dev
  elif command -v apt-get >/dev/null && [[ ! -e /usr/include/stdio.h ]]; then
    toolchain_install libc6-dev
  fi
  toolchain_adopt "$wanted" && return 0

  rustup=$(toolchain_rustup)
  if [[ -z $rustup ]]; then
    toolchain_install_rust_from_apt "$wanted"
    toolchain_adopt "$wanted" && return 0
    rustup=$(toolchain_rustup)
  fi
  if [[ -n $rustup ]]; then
    # The default toolchain is too old. A stable one may be there beside it, from an earlier run.
    local found=$toolchain_found
    export RUSTUP_TOOLCHAIN=stable
    toolchain_adopt "$wanted" && return 0
    toolchain_say "found ${found:-no Rust}, need $wanted: asking rustup for the stable toolchain"
    "$rustup" toolchain install stable --profile minimal >&2
    toolchain_adopt "$wanted" && return 0
  fi
  toolchain_die "Rust $wanted or newer is needed, and there is ${toolchain_found:-none}." \
    "Install it with rustup (rustup toolchain install stable) or from this system's packages," \
    "and run this again."
}

# Ensures `cargo clippy` or `cargo fmt`. Call need_toolchain first.
need_component() {
  local component=$1 command package
  case $component in
    clippy) command=clippy ;;
    rustfmt) command=fmt ;;
    *) toolchain_die "need_component: clippy or rustfmt, not '$component'" ;;
  esac
  cargo "$command" --version >/dev/null 2>&1 && return 0
  local rustup
  rustup=$(toolchain_rustup)
  # Rustup's components are for rustup's toolchains: a cargo from elsewhere would not find them.
  if [[ -n $rustup && ${toolchain_bin:-$(dirname "$rustup")} == "$(dirname "$rustup")" ]]; then
    toolchain_say "asking rustup for $component"
    "$rustup" component add "$component" >&2
  else
    # The component must be of the same build as the compiler, so its name follows the compiler's.
    case $toolchain_bin in
      /usr/lib/rust-*)
        local release=${toolchain_bin#/usr/lib/rust-}
        release=${release%%/*}
        [[ $component == clippy ]] && package=rust-$release-clippy || package=rustfmt-$release
        ;;
      *)
        if dpkg-query -W -f '${Status}' rustc-web 2>/dev/null | grep -q 'ok installed'; then
          [[ $component == clippy ]] && package=rust-web-clippy || package=rustfmt-web
        else
          [[ $component == clippy ]] && package=rust-clippy || package=rustfmt
        fi
        ;;
    esac
    toolchain_install "$package"
  fi
  cargo "$command" --version >/dev/null 2>&1 && return 0
  [[ -e /proc/self/exe ]] ||
    toolchain_die "cargo $command does not run: it needs /proc, which is not mounted here."
  toolchain_die "cargo $command does not run although $component is installed."
}

# need_tool COMMAND [PACKAGE...]: ensures a command; the package has the command's name unless given.
need_tool() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return 0
  toolchain_install "${@:-$command}"
  command -v "$command" >/dev/null ||
    toolchain_die "$command is missing although ${*:-$command} is installed."
}
