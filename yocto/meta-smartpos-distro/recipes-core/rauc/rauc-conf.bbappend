FILESEXTRAPATHS:prepend:smartpos-linux := "${THISDIR}/files:"
FILESEXTRAPATHS:prepend:smartpos-linux := "${@d.getVar('SMARTPOS_KEYS') + ':' if d.getVar('SMARTPOS_KEYS') else ''}"

PACKAGE_ARCH:smartpos-linux = "${MACHINE_ARCH}"

do_install:append:smartpos-linux() {
    # The layer that this appends to has an empty example in the keyring's place.
    if ! grep -q "BEGIN CERTIFICATE" "${D}${nonarch_libdir}/rauc/${RAUC_KEYRING_FILE}"; then
        bbfatal "no keyring: set SMARTPOS_KEYS to a folder that holds ${RAUC_KEYRING_FILE}"
    fi
    sed -i -e "s!@MACHINE@!${MACHINE}!" "${D}${nonarch_libdir}/rauc/system.conf"
}
