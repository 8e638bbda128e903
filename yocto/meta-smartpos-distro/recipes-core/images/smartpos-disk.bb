SUMMARY = "The whole disk of a new terminal: both slots and the data partition"
DESCRIPTION = "What a factory writes: boot partition, slot A filled, slot B empty, data partition empty."
HOMEPAGE = "https://github.com/smartpos/smartpos"
LICENSE = "Apache-2.0"

inherit core-image

# Only the partitions that the machine's wks file puts together: this image has no files of its own.
PACKAGE_INSTALL = ""
IMAGE_FEATURES = ""
IMAGE_LINGUAS = ""
IMAGE_FSTYPES = "wic.zst wic.bmap"

do_image_wic[depends] += " \
    linux-yocto-fitimage:do_deploy \
    virtual/bootloader:do_deploy \
    ${SMARTPOS_ROOTFS}:do_image_complete \
"
