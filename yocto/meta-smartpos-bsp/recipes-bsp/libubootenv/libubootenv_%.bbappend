FILESEXTRAPATHS:prepend:smartpos-qemu := "${THISDIR}/files:"
SRC_URI:append:smartpos-qemu = " file://fw_env.config"

PACKAGE_ARCH:smartpos-qemu = "${MACHINE_ARCH}"

do_install:append:smartpos-qemu() {
    install -D -m 0644 "${UNPACKDIR}/fw_env.config" "${D}${sysconfdir}/fw_env.config"
}

CONFFILES:${PN}:append:smartpos-qemu = " ${sysconfdir}/fw_env.config"
FILES:${PN}:append:smartpos-qemu = " ${sysconfdir}/fw_env.config"
