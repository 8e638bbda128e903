FILESEXTRAPATHS:prepend:smartpos-linux := "${THISDIR}/files:"
SRC_URI:append:smartpos-linux = " file://boot-complete.conf"

do_install:append:smartpos-linux() {
    install -D -m 0644 "${UNPACKDIR}/boot-complete.conf" \
        "${D}${systemd_system_unitdir}/boot-complete.target.d/smartpos.conf"
}

FILES:${PN}-mark-good:append:smartpos-linux = " ${systemd_system_unitdir}/boot-complete.target.d"
