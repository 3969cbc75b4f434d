#!/usr/bin/env bash
# Install the system packages named: with apt where that is allowed, else list what is missing.
# With --optional a missing package is only told.
set -u
optional=no
if [ "${1:-}" = --optional ]; then optional=yes; shift; fi
missing=()
for package in "$@"; do
    # Another source of the same command (a Node.js of one's own, say) will do.
    case $package in
        nodejs) command -v node >/dev/null && continue ;;
        gcc) command -v cc >/dev/null && continue ;;
        npm) command -v npm >/dev/null && continue ;;
        default-jre-headless) command -v java >/dev/null && continue ;;
    esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' \
        || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing: ${missing[*]}"
    apt-get update -qq \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            "${missing[@]}" >/dev/null \
        && exit 0
fi
echo "These system packages are missing: ${missing[*]}" >&2
echo "Install them with: sudo apt-get install ${missing[*]}" >&2
[ $optional = yes ] && exit 0
exit 1
