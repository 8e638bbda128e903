SUMMARY = "The data partition: what outlives an update"
DESCRIPTION = "Mounts the partition labelled data, and puts the terminal's state and its own \
    configuration (terminal number, merchant, credentials) there."
HOMEPAGE = "https://github.com/smartpos/smartpos"
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COREBASE}/meta/files/common-licenses/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

SRC_URI = " \
    file://data.mount \
    file://etc-smartpos.mount \
    file://smartpos-data.service \
    file://var-lib-smartpos.mount \
"

S = "${UNPACKDIR}"

inherit allarch features_check systemd

REQUIRED_DISTRO_FEATURES = "systemd"

SYSTEMD_SERVICE:${PN} = "data.mount etc-smartpos.mount smartpos-data.service var-lib-smartpos.mount"

do_install() {
    for unit in ${SYSTEMD_SERVICE:${PN}}; do
        install -D -m 0644 "${S}/$unit" "${D}${systemd_system_unitdir}/$unit"
    done
    # The root is read-only: mount points exist beforehand.
    install -d "${D}/data" "${D}${sysconfdir}/smartpos" "${D}${localstatedir}/lib/smartpos"
}

FILES:${PN} = " \
    /data \
    ${localstatedir}/lib/smartpos \
    ${sysconfdir}/smartpos \
    ${systemd_system_unitdir} \
"
