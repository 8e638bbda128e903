SUMMARY = "The terminal as it is sold: read-only, no shell from outside"
DESCRIPTION = "The root file system of a release: dm-verity covers it, RAUC replaces it as a whole."

IMAGE_ROOTFS_SIZE = "262144"

require smartpos-rootfs.inc
