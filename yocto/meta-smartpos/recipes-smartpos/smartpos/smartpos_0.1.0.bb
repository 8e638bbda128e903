SUMMARY = "Service layer of a smart point-of-sale terminal"
DESCRIPTION = "The daemons that own a payment terminal's hardware and money, and offer \
    payments, cards and printing to merchant apps over D-Bus."
HOMEPAGE = "https://github.com/smartpos/smartpos"
BUGTRACKER = "https://github.com/smartpos/smartpos/issues"
SECTION = "base"
# The receipt font is under the OFL, everything else is ours.
LICENSE = "Apache-2.0 & OFL-1.1"
LIC_FILES_CHKSUM = " \
    file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
    file://config/fonts/OFL.txt;md5=4eb16bca18979480715d5f33c8af8c8e \
"
DEPENDS = "libusb1 sqlite3"

# A development build takes the local tree instead: kas/dev.yml.
SRC_URI = "git://github.com/smartpos/smartpos.git;protocol=https;branch=main"
SRCREV = "1be198cf489c72cad6021cb611298c31512d6a43"

require ${BPN}-crates.inc
require ${BPN}-files.inc

inherit cargo cargo-update-recipe-crates features_check pkgconfig ptest-cargo systemd useradd

REQUIRED_DISTRO_FEATURES = "systemd"

# The other members of the workspace are libraries, and the virtual terminal with its tests.
SMARTPOS_MEMBERS = "${@' '.join('--package ' + name for name in d.getVar('SMARTPOS_PROGRAMS').split())}"
CARGO_BUILD_FLAGS:append = " ${SMARTPOS_MEMBERS}"

# On the target the tests of the libraries run too, but not those that need the source or the virtual terminal.
SMARTPOS_MEMBERS:task-compile-ptest-cargo = "--workspace --exclude 'sim-*' --exclude smartpos-tests --exclude smartpos-fuzz --exclude xtask"
RUST_TEST_ARGS = "--skip every_shipped_profile_is_right"

# The packaging splits debug information off; cargo would throw it away.
export CARGO_PROFILE_RELEASE_STRIP = "none"
export CARGO_PROFILE_RELEASE_DEBUG = "line-tables-only"
# The SQLite of the image, so that its CVEs are tracked and fixed in one place.
export LIBSQLITE3_SYS_USE_PKG_CONFIG = "1"

# What is installed where stands in one table, for every kind of image.
do_install() {
    while read -r package mode source destination; do
        case "$package" in
        ''|-|'#'*) continue ;;
        esac
        case "$source" in
        bin:*) source="${B}/target/${CARGO_TARGET_SUBDIR}/${source#bin:}" ;;
        *) source="${S}/$source" ;;
        esac
        install -D -m "$mode" "$source" "${D}$destination"
    done < "${S}/config/install.manifest"
}

PACKAGE_BEFORE_PN = "${SMARTPOS_PACKAGES}"

USERADD_PACKAGES = "${PN}-common"
# The ids are those of systemd/sysusers.d, in every distribution: state outlives the image that wrote it.
GROUPADD_PARAM:${PN}-common = "--system --gid 810 smartpos-operator;--system --gid 811 smartpos-app"
USERADD_PARAM:${PN}-common = " \
    --system --uid 801 --user-group --no-create-home --home-dir / --shell /sbin/nologin smartpos-card; \
    --system --uid 802 --user-group --no-create-home --home-dir / --shell /sbin/nologin smartpos-payment; \
    --system --uid 803 --user-group --no-create-home --home-dir / --shell /sbin/nologin smartpos-printer; \
    --system --uid 804 --user-group --no-create-home --home-dir / --shell /sbin/nologin smartpos-appbus; \
    --system --uid 805 --user-group --no-create-home --home-dir / --shell /sbin/nologin smartpos-peripheral \
"

# All of it; images name what they want by packagegroup-smartpos.
ALLOW_EMPTY:${PN} = "1"

RDEPENDS:${PN} = "${SMARTPOS_PACKAGES}"
RDEPENDS:${PN}-common = "dbus"
RDEPENDS:${PN}-cardd = "${PN}-common"
RDEPENDS:${PN}-paymentd = "${PN}-cardd ${PN}-common ${PN}-printerd"
RDEPENDS:${PN}-printerd = "${PN}-common"
RDEPENDS:posctl = "${PN}-common"
