#!/usr/bin/env bash
# ops/debian-packages.sh PYTHON GROUP...: installs what ops/debian-packages.txt lists for the groups and is missing.
set -euo pipefail
python=$1
shift
groups=" $* "

# Debian keeps debootstrap in /usr/sbin, which is not on every PATH.
PATH=$PATH:/usr/sbin:/sbin

is_there() {
    case $1 in
        python:*) "$python" -c "import ${1#python:}" 2>/dev/null ;;
        /*) compgen -G "$1" >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=()
while read -r sign packages group; do
    if [[ -z $sign || $sign == \#* || $groups != *" $group "* ]] || is_there "$sign"; then
        continue
    fi
    missing+=("$packages")
done <"$(dirname "$0")/debian-packages.txt"

if ((${#missing[@]} == 0)); then
    exit 0
fi
if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    printf 'These are missing: %s\n' "${missing[*]}" >&2
    printf 'Install them (as root on Debian or Ubuntu, make does it by itself), then run make again.\n' >&2
    exit 1
fi

echo "debian: reading the package lists"
apt-get update -q >/dev/null

first_of() {
    local package
    for package in ${1//|/ }; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo "This release has no package $1" >&2
    return 1
}

chosen=()
for alternatives in "${missing[@]}"; do
    chosen+=("$(first_of "$alternatives")")
done
echo "debian: installing ${chosen[*]}"
DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -q -y --no-install-recommends "${chosen[@]}" >/dev/null
