SUMMARY = "The terminal on a developer's desk"
DESCRIPTION = "The same, but root logs in without a password, over ssh too, and tests and tracers are on it."

IMAGE_ROOTFS_SIZE = "786432"

require smartpos-rootfs.inc

# To let a developer in is what this image is for.
# nooelint: oelint.var.badimagefeature.allow-empty-password oelint.var.badimagefeature.allow-root-login oelint.var.badimagefeature.empty-root-password
IMAGE_FEATURES += "allow-empty-password allow-root-login empty-root-password ssh-server-dropbear"

IMAGE_INSTALL:append = " dbus-tools gdbserver ptest-runner smartpos-ptest strace"
