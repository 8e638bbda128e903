SUMMARY = "initramfs module: dm-verity over the root partition of the booted slot"
DESCRIPTION = "Mounts the slot that the bootloader chose, checked against the root hash in the initramfs."
HOMEPAGE = "https://github.com/smartpos/smartpos"
SECTION = "base"
LICENSE = "Apache-2.0"
LIC_FILES_CHKSUM = "file://${COREBASE}/meta/files/common-licenses/Apache-2.0;md5=89aea4e17d99a7cacdbeed46a0096b10"

SRC_URI = "file://verity"

S = "${UNPACKDIR}"

inherit allarch

do_install() {
    install -D -m 0755 "${S}/verity" "${D}/init.d/80-verity"
}

FILES:${PN} = "/init.d/80-verity"

RDEPENDS:${PN} = "cryptsetup initramfs-framework-base initramfs-module-udev"
