FILESEXTRAPATHS:prepend:smartpos-qemu := "${THISDIR}/files:"
SRC_URI:append:smartpos-qemu = " file://smartpos-qemu.cfg"
