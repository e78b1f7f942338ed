#!/bin/sh
# Install the system programs that the demo, the tests or the bench talk to, where they are missing.
set -eu

need() { # need COMMAND PACKAGE...
	command=$1
	shift
	PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null 2>&1 || missing="$missing $*"
}

need_postgresql() {
	# PostgreSQL's server is not on the PATH.
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need initdb postgresql
}

missing=""
need git git
need curl curl
case "${1:-}" in
demo) ;;
test)
	need nginx nginx-light
	need node nodejs
	need npm npm
	need chromium chromium
	need_postgresql
	;;
bench)
	need wrk wrk
	need nginx nginx-light
	need apache2 apache2 libapache2-mod-auth-openidc
	test -e /usr/lib/apache2/modules/mod_auth_openidc.so || missing="$missing libapache2-mod-auth-openidc"
	need haproxy haproxy
	need_postgresql
	;;
*)
	echo "usage: $0 demo|test|bench" >&2
	exit 2
	;;
esac
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=""
elif command -v sudo >/dev/null 2>&1; then
	as_root=sudo
else
	echo "missing programs: install$missing (this script can do it only as root or with sudo)" >&2
	exit 1
fi
command -v apt-get >/dev/null 2>&1 || {
	echo "missing programs: install$missing with this system's package manager" >&2
	exit 1
}
echo "installing$missing"
$as_root apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
