#!/bin/sh
# Installs, upgrades, removes and purges a package in a root of its own. Run by `cargo xtask deb --check` in namespaces of
# its own; $1 is the package.
set -eu
package=$1

overlay=$(mktemp -d)
mount -t tmpfs -o size=2g none "$overlay"
mkdir "$overlay/upper" "$overlay/work" "$overlay/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$overlay/upper,workdir=$overlay/work" "$overlay/root"
root=$overlay/root
for directory in run tmp; do mount -t tmpfs none "$root/$directory"; done
mount -t proc none "$root/proc"
mount -t devtmpfs none "$root/dev" 2>/dev/null || mount --rbind /dev "$root/dev"
mount -t sysfs none "$root/sys"
cp "$package" "$root/tmp/eipgate.deb"

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
fail() {
    echo "$*" >&2
    exit 1
}
# A link may lead to a place that only the root has.
is_there() { [ -e "$root/$1" ] || [ -L "$root/$1" ]; }
there() { for path in "$@"; do is_there "$path" || fail "$path is missing after: $step"; done; }
gone() { for path in "$@"; do ! is_there "$path" || fail "$path is still there after: $step"; done; }
asked() { grep -qxF "$1" "$root/tmp/asked" || fail "systemd was not asked to '$1' by: $step; but: $(cat "$root/tmp/asked")"; }
unasked() { [ ! -s "$root/tmp/asked" ] || fail "systemd was asked by: $step: $(cat "$root/tmp/asked")"; }
# What would reach systemd is written down; making links is done, which takes no systemd.
cp "$(readlink -f "$root/usr/bin/systemctl")" "$root/tmp/systemctl.real"
for program in systemctl deb-systemd-invoke; do
    cat >"$root/tmp/$program" <<END
#!/bin/sh
case "\$*" in *preset*) exec /tmp/systemctl.real "\$@" ;; esac
echo "$program \$*" >>/tmp/asked
END
    chmod +x "$root/tmp/$program"
    mount --bind "$root/tmp/$program" "$(readlink -f "$root/usr/bin/$program")"
done
: >"$root/tmp/asked"
# A machine that never had it, whatever the one below has.
inside dpkg --purge eipgate >/dev/null 2>&1 || true

step="the first installation, with no systemd running"
said=$(inside dpkg -i /tmp/eipgate.deb 2>&1) || fail "$said"
there usr/bin/eipgate etc/eipgate/eipgate.toml lib/systemd/system/eipgate.service usr/share/man/man1/eipgate-eip-bind.1.gz \
    usr/share/bash-completion/completions/eipgate usr/share/eipgate/prometheus-alerts.yml usr/share/doc/eipgate/copyright
echo "$said" | grep -q "installed and not started" || fail "nothing was said about editing the configuration: $said"
gone etc/systemd/system/multi-user.target.wants/eipgate.service
inside eipgate --version >/dev/null
inside getent group eipgate >/dev/null || fail "there is no group eipgate"
unasked
if inside sh -c 'command -v systemd-analyze' >/dev/null; then
    # systemd before 253 says that it does not know notify-reload, which is as intended.
    units="eipgate.service eipgate-guard.service run-eipgate-bpf.mount"
    said=$(inside systemd-analyze verify --man=no $units 2>&1 | grep eipgate | grep -v 'ignoring: notify-reload') || true
    [ -z "$said" ] || fail "systemd-analyze verify: $said"
fi
echo "ok: $step"

step="an upgrade with a valid configuration and systemd running"
mkdir -p "$root/run/systemd/system"
config=etc/eipgate/eipgate.toml
printf 'uplinks = ["eth0"]\ndownlinks = ["eth1"]\npools = ["192.88.98.0/24"]\n' >"$root/$config"
inside eipgate config check >/dev/null
said=$(inside dpkg -i --force-confold /tmp/eipgate.deb 2>&1) || fail "$said"
grep -q 192.88.98.0 "$root/$config" || fail "the edited configuration was overwritten"
asked "deb-systemd-invoke restart eipgate.service"
there etc/systemd/system/multi-user.target.wants/eipgate.service
! grep -q stop "$root/tmp/asked" || fail "an upgrade stopped something"
echo "ok: $step"

step="the removal"
: >"$root/tmp/asked"
mkdir -p "$root/var/lib/eipgate"
echo state >"$root/var/lib/eipgate/state.db"
said=$(inside dpkg -r eipgate 2>&1) || fail "$said"
gone usr/bin/eipgate lib/systemd/system/eipgate.service run/eipgate usr/share/eipgate
there "$config" var/lib/eipgate/state.db
asked "deb-systemd-invoke stop eipgate.service eipgate-guard.service"
asked "deb-systemd-invoke stop run-eipgate-bpf.mount"
echo "ok: $step"

step="a new installation over the configuration that was left"
: >"$root/tmp/asked"
said=$(inside dpkg -i --force-confold /tmp/eipgate.deb 2>&1) || fail "$said"
asked "deb-systemd-invoke restart eipgate.service"
there etc/systemd/system/multi-user.target.wants/eipgate.service etc/systemd/system/sysinit.target.wants/eipgate-guard.service
echo "ok: $step"

step="the purge"
said=$(inside dpkg --purge eipgate 2>&1) || fail "$said"
gone usr/bin/eipgate etc/eipgate var/lib/eipgate run/eipgate etc/systemd/system/multi-user.target.wants/eipgate.service \
    etc/systemd/system/sysinit.target.wants/eipgate-guard.service
! inside getent group eipgate >/dev/null || fail "the group eipgate is still there"
echo "ok: $step"
